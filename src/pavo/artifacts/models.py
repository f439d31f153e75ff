"""Tables of the artifacts slice."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, Text, UniqueConstraint, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base

_MOMENT = DateTime(timezone=True)


class ArtifactRow(Base):
    """A file of a task: a name for content that lies in the store. It is never changed, only replaced."""

    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("subject_id", "name"),
        Index("ix_artifacts_content", "organisation_id", "sha256"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("timelines.id", ondelete="CASCADE"))
    """Whose it is, as its timeline is: a task."""
    name: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(Text)
    """Of its content, in hex: where that lies."""
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=func.pavo_now())


class ArtifactUsageRow(Base):
    """How many bytes an organisation keeps; triggers on `artifacts` count."""

    __tablename__ = "artifact_usage"

    organisation_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class ArtifactLeftoverRow(Base):
    """Content that perhaps no artifact names: somebody is about to keep it, or what named it has gone.

    Who gives content a name holds its row until that is committed; who removes content holds it too, and looks first.
    """

    __tablename__ = "artifact_leftovers"

    organisation_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=text("pavo_now()"), index=True)
    """From when on it is looked at."""
