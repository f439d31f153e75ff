"""The table of the gateways' presence."""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from pavo.kit.sql import Base


class GatewayPresenceRow(Base):
    """The one row that every gateway keeps fresh: since when some gateway could be reached, and reached PostgreSQL."""

    __tablename__ = "gateway_presence"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """The first note after a gap."""
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """The last note."""
