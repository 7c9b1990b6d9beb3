"""Creates the lake's catalog in Polaris, once, and lets its administrators read and write tables. Run by docker-compose.yml.

$POLARIS is the server's address, $POLARIS_SECRET the secret of its principal `root`.
"""

import os
import sys

import httpx

NAME, WAREHOUSE, STORE = "tradelake", "s3://tradelake/", "http://s3:9000"
CATALOG = {
    "name": NAME,
    "type": "INTERNAL",
    "properties": {"default-base-location": WAREHOUSE},
    # The store has no STS: clients come with keys of their own.
    "storageConfigInfo": {
        "storageType": "S3",
        "allowedLocations": [WAREHOUSE],
        "endpoint": STORE,
        "region": "us-east-1",
        "pathStyleAccess": True,
        "stsUnavailable": True,
    },
}


def main() -> None:
    with httpx.Client(base_url=os.environ["POLARIS"], timeout=30) as polaris:
        login = {
            "grant_type": "client_credentials",
            "client_id": "root",
            "client_secret": os.environ["POLARIS_SECRET"],
            "scope": "PRINCIPAL_ROLE:ALL",
        }
        token = polaris.post("/api/catalog/v1/oauth/tokens", data=login).raise_for_status().json()["access_token"]
        polaris.headers["Authorization"] = f"Bearer {token}"
        created = polaris.post("/api/management/v1/catalogs", json={"catalog": CATALOG})
        if created.status_code != httpx.codes.CONFLICT:
            created.raise_for_status()
        grant = {"grant": {"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"}}
        roles = f"/api/management/v1/catalogs/{NAME}/catalog-roles/catalog_admin/grants"
        polaris.put(roles, json=grant).raise_for_status()
    print(f"Polaris has the catalog {NAME}")


if __name__ == "__main__":
    try:
        main()
    except httpx.HTTPError as error:
        sys.exit(f"Polaris at {os.environ['POLARIS']}: {error}")
