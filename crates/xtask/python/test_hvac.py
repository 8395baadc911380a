"""What programs that use hvac, the Python client of Vault, meet: answers, and the exceptions that they branch on."""

import hvac
import pytest
import requests


@pytest.fixture
def client(server):
    return hvac.Client(url=server.address, token=server.root_token)


def test_a_secret_is_written_and_read(client):
    made = client.secrets.kv.v2.create_or_update_secret("app/db", secret={"USER": "app", "PORT": 5432})
    assert made["data"]["version"] == 1
    read = client.secrets.kv.v2.read_secret_version("app/db", raise_on_deleted_version=True)
    assert read["data"]["data"] == {"USER": "app", "PORT": 5432}
    assert read["data"]["metadata"]["version"] == 1


def test_read_and_write_take_any_path(client):
    client.write_data("cubbyhole/a", data={"k": "v"})
    assert client.read("cubbyhole/a")["data"] == {"k": "v"}
    # Nothing there is None, and no exception.
    assert client.read("cubbyhole/none") is None
    assert client.list("cubbyhole")["data"]["keys"] == ["a"]
    client.delete("cubbyhole/a")
    assert client.read("cubbyhole/a") is None


def test_a_token_is_recognised(server, client):
    assert client.is_authenticated()
    assert not hvac.Client(url=server.address, token="hvs.not-a-real-token").is_authenticated()
    assert not hvac.Client(url=server.address, token="").is_authenticated()


def test_a_wrong_token_is_forbidden(server):
    stranger = hvac.Client(url=server.address, token="hvs.not-a-real-token")
    with pytest.raises(hvac.exceptions.Forbidden) as refused:
        stranger.secrets.kv.v2.read_secret_version("app/db", raise_on_deleted_version=True)
    assert "permission denied" in str(refused.value)
    with pytest.raises(hvac.exceptions.Forbidden):
        stranger.write_data("cubbyhole/a", data={"k": "v"})


def test_a_token_without_the_policy_is_forbidden(server, client):
    token = client.auth.token.create(policies=["default"], ttl="1h")["auth"]["client_token"]
    weak = hvac.Client(url=server.address, token=token)
    assert weak.is_authenticated()
    with pytest.raises(hvac.exceptions.Forbidden):
        weak.secrets.kv.v2.read_secret_version("app/db", raise_on_deleted_version=True)


def test_a_wrong_path_is_invalid(client):
    with pytest.raises(hvac.exceptions.InvalidPath):
        client.secrets.kv.v2.read_secret_version("no/such/secret", raise_on_deleted_version=True)
    with pytest.raises(hvac.exceptions.InvalidPath):
        client.secrets.kv.v2.read_secret_version("a", mount_point="nowhere", raise_on_deleted_version=True)
    with pytest.raises(hvac.exceptions.InvalidPath):
        client.secrets.kv.v2.list_secrets("no/such/folder")


def test_a_deleted_version_is_invalid_and_tells_when(client):
    client.secrets.kv.v2.create_or_update_secret("gone", secret={"k": "v"})
    client.secrets.kv.v2.delete_latest_version_of_secret("gone")
    with pytest.raises(hvac.exceptions.InvalidPath):
        client.secrets.kv.v2.read_secret_version("gone", raise_on_deleted_version=True)
    read = client.secrets.kv.v2.read_secret_version("gone", raise_on_deleted_version=False)
    assert read["data"]["data"] is None and read["data"]["metadata"]["deletion_time"]


def test_check_and_set_is_an_invalid_request(client):
    client.secrets.kv.v2.create_or_update_secret("cas", secret={"k": 1})
    with pytest.raises(hvac.exceptions.InvalidRequest) as refused:
        client.secrets.kv.v2.create_or_update_secret("cas", secret={"k": 2}, cas=7)
    assert "did not match the current version" in str(refused.value)


def test_a_sealed_server_is_down(server, client):
    client.sys.seal()
    try:
        assert client.sys.is_sealed()
        with pytest.raises(hvac.exceptions.VaultDown):
            client.secrets.kv.v2.read_secret_version("app/db", raise_on_deleted_version=True)
        with pytest.raises(hvac.exceptions.VaultDown):
            client.is_authenticated()
    finally:
        client.sys.submit_unseal_key(server.keys[0])
    assert client.is_authenticated()


def test_an_unreachable_server_is_a_connection_error():
    nobody = hvac.Client(url="http://127.0.0.1:1", token="hvs.not-a-real-token", timeout=5)
    with pytest.raises(requests.exceptions.ConnectionError):
        nobody.secrets.kv.v2.read_secret_version("app/db", raise_on_deleted_version=True)
    with pytest.raises(requests.exceptions.ConnectionError):
        nobody.is_authenticated()
