"""Which proxies may be believed."""

import pytest

from chatcore.settings import BadSettings, Settings, load_settings


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0", "10.0.0.1,0.0.0.0/0", "proxy.example"])
def test_a_start_that_believes_everybody_or_a_name_is_refused(everybody: str) -> None:
    with pytest.raises(BadSettings, match="TRUSTED_PROXIES"):
        load_settings(_env_file=None, trusted_proxies=everybody)


def test_addresses_and_networks_are_believed() -> None:
    settings: Settings = load_settings(_env_file=None, trusted_proxies="10.0.0.1, 172.16.0.0/12, fd00::/8")
    assert settings.trusted_proxies == ("10.0.0.1", "172.16.0.0/12", "fd00::/8")
