"""The settings of what is kept for organisations: their secrets, the files of their tasks, what models cost."""

import re

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from pavo.config_section import Place, Section


class SealingSettings(Section):
    """The keys that seal organisations' secrets in the database; the API and the workers need the same."""

    key: SecretStr | None = Field(default=None, validation_alias="PAVO_SEALING_KEY")
    """Base64 of 32 bytes: seals organisations' secrets in the database (AES-256-GCM); without it there can be none."""
    former_keys: SecretStr | None = Field(default=None, validation_alias="PAVO_SEALING_FORMER_KEYS")
    """Keys of before, separated by commas: what they sealed is still opened; pavo secret rotate seals it anew."""


class ArtifactSettings(Section):
    """Files of tasks; the API and the workers need the same."""

    folder: Place = Field(default=None, validation_alias="PAVO_ARTIFACTS_FOLDER")
    """Where the content of artifacts lies: one folder for the API and all workers, on whichever hosts they are;
    default: artifacts in PAVO_DATA_DIR, and without that none can be kept. With a bucket: where it lies while it is
    written."""
    task_mb: int = Field(default=1_000, ge=1, le=1_000_000, validation_alias="PAVO_ARTIFACTS_TASK_MB")
    """MB that one task may keep."""
    organisation_mb: int = Field(default=10_000, ge=1, le=10**9, validation_alias="PAVO_ARTIFACTS_ORGANISATION_MB")
    """MB that all tasks of an organisation may keep, what is there twice counted twice."""
    s3: str = Field(default="", validation_alias="PAVO_ARTIFACTS_S3")
    """Bucket, with a prefix if any, in which the content lies instead of a folder: s3://bucket/pavo."""
    s3_endpoint: str = Field(default="", validation_alias="PAVO_ARTIFACTS_S3_ENDPOINT")
    """Base URL of an S3-compatible server, such as https://minio.example.com:9000; default: Amazon's."""
    s3_region: str = Field(default="us-east-1", max_length=100, validation_alias="PAVO_ARTIFACTS_S3_REGION")
    """Region of the bucket."""
    s3_access_key: SecretStr | None = Field(default=None, validation_alias="PAVO_ARTIFACTS_S3_ACCESS_KEY")
    """Access key; without it the variables of Amazon's own tools hold, or the role of the machine."""
    s3_secret_key: SecretStr | None = Field(
        default=None, validate_default=True, validation_alias="PAVO_ARTIFACTS_S3_SECRET_KEY"
    )
    """Its secret key."""

    @field_validator("s3")
    @classmethod
    def _is_a_bucket(cls, value: str) -> str:
        if value and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*/?", value, re.ASCII):
            raise ValueError("it is no bucket such as s3://bucket or s3://bucket/prefix")
        return value.rstrip("/")

    @field_validator("s3_endpoint")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#@]+/?", value):
            raise ValueError("it is no URL such as https://minio.example.com:9000")
        return value.rstrip("/")

    @field_validator("s3_secret_key")
    @classmethod
    def _has_an_access_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if bool(value and value.get_secret_value()) != bool(_plain(info.data.get("s3_access_key"))):
            raise ValueError("PAVO_ARTIFACTS_S3_ACCESS_KEY and this one are set together")
        return value


class UsageSettings(Section):
    """What models cost; the API and the workers need the same."""

    prices: Place = Field(default=None, validation_alias="PAVO_PRICES")
    """File with what models cost (TOML, or JSON where its name ends with .json); without it no price is known."""


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
