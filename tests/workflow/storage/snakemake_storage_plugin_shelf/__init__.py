"""Snakemake's storage in a folder that jobs do not see: shelf://FOLDER/KEY is copied from there, and to there."""

import shutil
from pathlib import Path
from urllib.parse import urlparse

from snakemake_interface_storage_plugins.storage_object import StorageObjectRead, StorageObjectWrite
from snakemake_interface_storage_plugins.storage_provider import StorageProviderBase, StorageQueryValidationResult


class StorageProvider(StorageProviderBase):
    @classmethod
    def example_queries(cls):
        return []

    @classmethod
    def is_valid_query(cls, query):
        valid = urlparse(query).scheme == "shelf"
        return StorageQueryValidationResult(query, valid, "" if valid else "shelf:// is wanted")

    def use_rate_limiter(self):
        return False

    def default_max_requests_per_second(self):
        return 1000.0

    def rate_limiter_key(self, query, operation):
        return None

    def list_objects(self, query):
        raise NotImplementedError


class StorageObject(StorageObjectRead, StorageObjectWrite):
    def __post_init__(self):
        self.place = Path(self.query.removeprefix("shelf:/"))

    async def inventory(self, cache):
        pass

    def get_inventory_parent(self):
        return None

    def local_suffix(self):
        return self.query.removeprefix("shelf://").lstrip("/")

    def cleanup(self):
        pass

    def exists(self):
        return self.place.exists()

    def mtime(self):
        return self.place.stat().st_mtime

    def size(self):
        return self.place.stat().st_size

    def retrieve_object(self):
        (shutil.copytree if self.place.is_dir() else shutil.copy)(self.place, self.local_path())

    def store_object(self):
        self.place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.local_path(), self.place)

    def remove(self):
        self.place.unlink()
