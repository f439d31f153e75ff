"""Table of the corpus slice."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Computed, DateTime, ForeignKey, Index, String, Text, Uuid, func
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from pavo.accounts.models import OrganisationRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Base


class CorpusDocumentRow(Base):
    """A document of an organisation."""

    __tablename__ = "corpus_documents"
    __table_args__ = (
        Index("uq_corpus_documents_organisation_id_content_hash", "organisation_id", "content_hash", unique=True),
        Index("ix_corpus_documents_search", "search", postgresql_using="gin"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.id, ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    """Where it came from: a file's name."""
    content_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())
    search: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed(
            "setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', body), 'B')",
            persisted=True,
        ),
    )
    """The words of title and text; kept by PostgreSQL itself."""
