"""Names of people: they come with a token, so what must not be shown is not taken over."""

from chatcore.identity.records import Profile
from tests.moderation.conftest import Houses, Watched


async def signed_in(house: Watched, user_id: str, **names: str) -> str:
    """The name that others see after the issuer said these."""
    await house.identity.update_profile(user_id, Profile(**names))
    user = await house.identity.directory.find(user_id)
    assert user is not None
    return user.card().name


async def test_a_name_that_must_not_be_shown_does_not_take_the_place_of_the_one_before(houses: Houses) -> None:
    house = await houses()
    (ada,) = house.people("ada")
    assert await signed_in(house, ada.user_id, name="Ada Lovelace") == "Ada Lovelace"
    assert await signed_in(house, ada.user_id, name="Nigger Killer") == "Ada Lovelace"
    assert await signed_in(house, ada.user_id, name="Countess Lovelace") == "Countess Lovelace"


async def test_each_part_of_a_name_is_looked_at_and_what_they_say_together(houses: Houses) -> None:
    house = await houses()
    (ada,) = house.people("ada")
    await signed_in(house, ada.user_id, name="Ada", first_name="Ada", last_name="Byron", username="kike")
    user = await house.identity.directory.find(ada.user_id)
    assert user is not None
    assert (user.profile.first_name, user.profile.last_name, user.profile.username) == ("Ada", "Byron", "ada")
    house.identity.admits_name = lambda user_id, name: name != "Mike Hunt"
    await signed_in(house, ada.user_id, name="Ada", first_name="Mike", last_name="Hunt")
    user = await house.identity.directory.find(ada.user_id)
    assert user is not None
    assert (user.profile.first_name, user.profile.last_name) == ("Ada", "Byron")


async def test_a_refused_name_is_a_decision_in_the_ledger_without_the_name(houses: Houses) -> None:
    house = await houses()
    (ada,) = house.people("ada")
    await signed_in(house, ada.user_id, name="Nigger Killer")
    await house.background.drain(5)
    await house.decided()
    (decision,) = await house.opened()
    assert (decision.action, decision.input["kind"]) == ("block", "display_name")
    assert "Killer" not in str(decision)


async def test_real_names_that_look_like_words_stay(houses: Houses) -> None:
    house = await houses()
    (ada,) = house.people("ada")
    for name in ("Dick Smith", "Peter Cockburn", "Fanny Hill", "Nguyen Phuc", "Randy Wang", "Gaylord Focker"):
        assert await signed_in(house, ada.user_id, name=name) == name


async def test_where_moderation_is_off_every_name_is_taken_over(houses: Houses) -> None:
    house = await houses("off")
    (ada,) = house.people("ada")
    assert await signed_in(house, ada.user_id, name="Nigger Killer") == "Nigger Killer"
