"""Against closed forms, the libraries' own results, and counts of coverage in simulations with fixed seeds."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.metrics import average_precision_score, cohen_kappa_score, ndcg_score
from statsmodels.stats.multitest import multipletests

from chatcore.lab import statistics as st
from chatcore.lab.statistics.power import minimum_detectable_effect


def frame(scores: object, **columns: object) -> pd.DataFrame:
    values = np.asarray(scores, dtype=float)
    return pd.DataFrame({"sample": np.arange(len(values)), "score": values, **columns})


# --- proportions


def test_wilson_equals_its_formula() -> None:
    z, p, n = stats.norm.ppf(0.975), 0.1, 50
    centre, reach = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)),
    )
    found = st.wilson(5, 50)
    assert (found.low, found.high) == pytest.approx((centre - reach, centre + reach))


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (1, 200)])
def test_wilson_stays_within_0_and_1_and_is_never_a_point(successes: int, n: int) -> None:
    found = st.wilson(successes, n)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.low < found.high


def test_wilson_covers_a_rare_rate_where_the_textbook_interval_does_not() -> None:
    drawn = np.random.default_rng(1).binomial(60, 0.03, 1_000)
    ours = sum(st.wilson(int(k), 60).low <= 0.03 <= st.wilson(int(k), 60).high for k in drawn)
    reach = 1.96 * np.sqrt(drawn / 60 * (1 - drawn / 60) / 60)
    textbook = int((np.abs(drawn / 60 - 0.03) <= reach).sum())
    assert ours >= 930
    assert textbook < 880


def test_nothing_in_300_tries_leaves_about_1_percent_open() -> None:
    assert st.rule_of_three(300).high == pytest.approx(3 / 300, rel=0.01)
    assert st.rule_of_three(300).high == pytest.approx(stats.beta.ppf(0.95, 1, 300))
    assert st.event_rate(0, 300).method == "rule of three"
    assert st.event_rate(1, 300).method == "wilson"
    assert st.rule_of_three(0).high == 1


def test_an_impossible_count_is_refused() -> None:
    with pytest.raises(ValueError, match="11 successes of 10"):
        st.wilson(11, 10)


# --- means, pairs and clusters


def test_without_clusters_the_mean_has_students_interval() -> None:
    values = np.random.default_rng(2).normal(0.3, 1, 40)
    low, high = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    found = st.clustered_mean(values)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_clusters_follow_the_closed_form() -> None:
    values, groups = np.array([1.0, 2, 4, 4, 7, 9]), np.array([0, 0, 1, 1, 2, 2])
    sums = np.array([(values[groups == g] - values.mean()).sum() for g in range(3)])
    error = math.sqrt(3 / 2 * (sums**2).sum()) / 6
    assert st.clustered_mean(values, clusters=[groups]).half_width == pytest.approx(stats.t.ppf(0.975, 2) * error)


@pytest.mark.parametrize(("kinds", "seed"), [(1, 3), (2, 3), (2, 12)])
def test_clustered_errors_are_the_librarys(kinds: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    codes = [dice.integers(0, 15, 200), dice.integers(0, 9, 200)][:kinds]
    values = dice.normal(0, 1, 200) + dice.normal(0, 1, 15)[codes[0]]
    library = [
        float(sm.OLS(values, np.ones(200)).fit(cov_type="cluster", cov_kwds={"groups": groups}).bse[0])
        for groups in (*codes, np.column_stack(codes))
    ]
    ours = st.clustered_mean(values, clusters=codes)
    assert ours.half_width / stats.t.ppf(0.975, ours.clusters - 1) == pytest.approx(max(library), rel=1e-6)


def coverage(*, clustered: bool) -> int:
    covered = 0
    for seed in range(400):
        dice = np.random.default_rng(seed)
        groups = np.repeat(np.arange(25), 8)
        values = dice.normal(0, 1, 25)[groups] + dice.normal(0, 1, 200)
        found = st.clustered_mean(values, clusters=[groups] if clustered else [])
        covered += found.low <= 0 <= found.high
    return covered


def test_clustering_keeps_the_coverage_that_independence_loses() -> None:
    assert 368 <= coverage(clustered=True) <= 392
    assert coverage(clustered=False) < 280


def test_two_kinds_of_clusters_are_never_surer_than_one() -> None:
    dice = np.random.default_rng(4)
    conversation, sender = np.repeat(np.arange(20), 6), np.tile(np.arange(12), 10)
    values = dice.normal(0, 1, 20)[conversation] + dice.normal(0, 1, 12)[sender]
    both = st.clustered_mean(values, clusters=[conversation, sender])
    for kind in (conversation, sender):
        assert both.half_width >= st.clustered_mean(values, clusters=[kind]).half_width * 0.999
    assert both.clusters == 12


def test_one_conversation_proves_nothing() -> None:
    found = st.paired_difference(frame([1.0] * 50, conversation="a"), frame([0.0] * 50))
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert st.not_worse(found, margin=0.02).state == "inconclusive"


def test_pairing_sees_what_two_separate_means_cannot() -> None:
    hard = np.random.default_rng(5).normal(0, 5, 100)
    gain = np.random.default_rng(6).normal(0.3, 0.2, 100)
    found = st.paired_difference(frame(hard + gain), frame(hard), span=20)
    assert found.low > 0
    assert stats.ttest_ind(hard + gain, hard).pvalue > 0.5
    assert found.p == pytest.approx(stats.ttest_rel(hard + gain, hard).pvalue)


def test_epochs_are_no_further_evidence() -> None:
    dice = np.random.default_rng(7)
    once = frame(dice.normal(0, 1, 30))
    thrice = pd.concat([once.assign(epoch=epoch) for epoch in range(3)])
    live = frame(np.zeros(30))
    assert st.paired_difference(thrice, live).interval == st.paired_difference(once, live).interval


def test_an_error_is_missing_data_and_never_a_zero() -> None:
    candidate, live = frame([1.0, math.nan, 1.0, 0.8]), frame([1.0, 1.0, 1.0, 1.0])
    found = st.paired_difference(candidate, live)
    assert (found.n, found.interval.missing) == (3, 1)
    assert found.estimate == pytest.approx(-0.2 / 3)


def test_a_sample_that_only_one_version_answered_is_missing() -> None:
    found = st.paired_difference(frame([1.0, 0.5, 0.7]), frame([1.0, 0.6]))
    assert (found.n, found.interval.missing) == (2, 1)


def test_equal_scores_everywhere_are_not_taken_for_certainty() -> None:
    found = st.paired_difference(frame([1.0] * 5), frame([1.0] * 5))
    assert found.estimate == 0
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 5))
    assert st.not_worse(found, margin=0.02).state == "inconclusive"


# --- verdicts and power


def difference(mean: float, n: int = 400, seed: int = 8) -> st.Difference:
    gaps = np.random.default_rng(seed).normal(0, 0.3, n)
    return st.paired_difference(frame(gaps - gaps.mean() + mean), frame(np.zeros(n)))


@pytest.mark.parametrize(
    ("mean", "state"), [(0.0, "inconclusive"), (0.05, "passed"), (-0.1, "failed"), (-0.02, "inconclusive")]
)
def test_a_verdict_may_be_inconclusive(mean: float, state: str) -> None:
    verdict = st.not_worse(difference(mean), margin=0.02)
    assert verdict.state == state
    assert bool(verdict) is (state == "passed")
    assert "0.02" in verdict.sentence
    assert f"{verdict.detectable:.3f} would be seen with 80 % power" in verdict.sentence


def test_where_lower_is_better_the_sides_change() -> None:
    assert st.not_worse(difference(-0.1), margin=0.02, better="lower").state == "passed"
    assert st.not_worse(difference(0.1), margin=0.02, better="lower").state == "failed"
    assert st.better_than_live(difference(-0.1), better="lower").state == "passed"
    assert st.better_than_live(difference(0.001)).state == "inconclusive"


def test_a_floor_asks_the_lower_bound_and_a_cap_the_upper() -> None:
    assert st.at_least(st.wilson(98, 100), 0.9).state == "passed"
    assert st.at_least(st.wilson(90, 100), 0.9).state == "inconclusive"
    assert st.at_least(st.wilson(50, 100), 0.9).state == "failed"
    assert st.at_most(st.rule_of_three(100), 0.05).state == "passed"
    assert st.at_most(st.rule_of_three(20), 0.05).state == "inconclusive"


def test_a_twentieth_at_a_spread_of_six_tenths_needs_about_1132_samples() -> None:
    assert abs(st.samples_needed(0.05, 0.6) - 1132) <= 2
    assert minimum_detectable_effect(0.6 / math.sqrt(1132), 1131) == pytest.approx(0.05, abs=1e-4)


def test_the_detectable_difference_is_found_in_four_of_five_simulations() -> None:
    n, found = 100, 0
    effect = minimum_detectable_effect(1 / math.sqrt(n), n - 1)
    for seed in range(500):
        found += st.clustered_mean(np.random.default_rng(seed).normal(effect, 1, n)).low > 0
    assert 375 <= found <= 425


# --- slices


def test_holm_is_the_librarys_and_leaves_out_what_has_no_evidence() -> None:
    values = [0.01, 0.04, 0.03, 0.2]
    assert st.holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist())
    with_gap = st.holm([0.01, math.nan, 0.04])
    assert with_gap[0] == pytest.approx(0.02)
    assert math.isnan(with_gap[1])


def test_ten_slices_of_noise_rarely_alarm() -> None:
    alarms = 0
    for seed in range(15):
        dice = np.random.default_rng(seed)
        scores = frame(dice.normal(0, 0.3, 400), language=[f"l{i % 10}" for i in range(400)])
        table = st.difference_by_slice(scores, frame(np.zeros(400)), "language")
        assert (table["p_holm"] >= table["p"]).all()
        alarms += bool((table["p_holm"] < 0.05).any())
    assert alarms <= 3


# --- looking while it runs


def test_an_always_valid_interval_survives_looking_after_every_value_and_a_fixed_one_does_not() -> None:
    broken = peeked = 0
    for seed in range(200):
        values = np.random.default_rng(seed).binomial(1, 0.3, 800).astype(float)
        broken += any(not found.low <= 0.3 <= found.high for found in st.always_valid(values))
        steps = np.arange(1, 801)
        means = np.cumsum(values) / steps
        reach = 1.96 * np.sqrt(np.maximum(means * (1 - means), 1e-9) / steps)
        peeked += bool((np.abs(means - 0.3) > reach)[30:].any())
    assert broken <= 14
    assert peeked > 50


def test_an_always_valid_difference_ends_up_seeing_a_real_one() -> None:
    dice = np.random.default_rng(9)
    found = st.always_valid_difference(dice.binomial(1, 0.5, 2_000), dice.binomial(1, 0.35, 2_000))
    assert found.low > 0
    assert st.always_valid_difference([], [1.0]).low == -math.inf


def test_uneven_arms_are_noticed() -> None:
    even = {"live": 0.5, "candidate": 0.5}
    assert st.sample_ratio_p({"live": 510, "candidate": 490}, even) > 0.5
    assert st.sample_ratio_p({"live": 600, "candidate": 400}, even) < 0.001
    assert st.sample_ratio_p({"live": 900, "candidate": 100}, {"live": 0.9, "candidate": 0.1}) == pytest.approx(1)
    with pytest.raises(ValueError, match="not the arms"):
        st.sample_ratio_p({"live": 1}, even)


# --- judges


def test_kappa_is_the_librarys_and_agreement_by_chance_earns_nothing() -> None:
    dice = np.random.default_rng(10)
    human = dice.random(300) < 0.3
    judge = np.where(dice.random(300) < 0.1, ~human, human)
    found = st.calibrate_judge(human.tolist(), judge.tolist())
    assert found.kappa.estimate == pytest.approx(cohen_kappa_score(human, judge))
    assert found.trusted
    always_no = st.calibrate_judge(human.tolist(), [False] * 300)
    assert always_no.kappa.estimate == pytest.approx(0)
    assert not always_no.trusted


def test_ten_agreements_are_not_trust() -> None:
    few = st.calibrate_judge([True] * 5 + [False] * 5, [True] * 5 + [False] * 5)
    assert few.kappa.estimate == 1
    assert not few.trusted
    assert st.calibrate_judge([True, False] * 100, [True, False] * 100).trusted


def test_a_corrected_rate_covers_the_truth_that_the_judges_own_rate_misses() -> None:
    covered = naive = 0
    for seed in range(300):
        dice = np.random.default_rng(seed)
        human = dice.random(300) < 0.4
        judge = np.where(human, dice.random(300) < 0.8, dice.random(300) < 0.15)
        calibration = st.calibrate_judge(human.tolist(), judge.tolist())
        true = dice.random(1_000) < 0.2
        said = int(np.where(true, dice.random(1_000) < 0.8, dice.random(1_000) < 0.15).sum())
        found, plain = st.corrected_rate(said, 1_000, calibration), st.wilson(said, 1_000)
        covered += found.low <= 0.2 <= found.high
        naive += plain.low <= 0.2 <= plain.high
    assert covered >= 277
    assert naive < 100


def test_a_judge_without_skill_corrects_nothing() -> None:
    blind = st.calibrate_judge([True, False] * 50, [True, True, False, False] * 25)
    found = st.corrected_rate(30, 100, blind)
    assert (found.low, found.high) == (0, 1)


# --- ranking


def test_auprc_is_average_precision_over_what_is_known() -> None:
    dice = np.random.default_rng(11)
    labels = (dice.random(300) < 0.2).astype(float)
    scores = labels * 0.5 + dice.random(300)
    labels[:10] = math.nan
    found = st.auprc(labels, scores, rounds=200)
    assert found.estimate == pytest.approx(average_precision_score(labels[10:], scores[10:]))
    assert found.low < found.estimate < found.high
    assert (found.n, found.missing) == (290, 10)
    assert st.auprc(labels, scores, rounds=200) == found


def test_near_duplicates_in_one_cluster_widen_the_interval() -> None:
    dice = np.random.default_rng(12)
    labels = np.repeat(dice.random(30) < 0.4, 10).astype(float)
    scores = labels * 0.4 + np.repeat(dice.random(30), 10)
    groups = np.repeat(np.arange(30), 10)
    assert (
        st.auprc(labels, scores, clusters=groups, rounds=300).half_width
        > 2 * st.auprc(labels, scores, rounds=300).half_width
    )


def test_ndcg_is_the_librarys_and_counts_what_was_not_found() -> None:
    gains = [0.0, 3.0, 1.0, 0.0, 2.0]
    assert st.ndcg(gains) == pytest.approx(ndcg_score([gains], [[5, 4, 3, 2, 1]]))
    assert st.ndcg([1.0, 0.0]) == 1
    assert st.ndcg([1.0, 0.0], all_gains=[1.0, 1.0]) == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert st.ndcg([], all_gains=[1.0]) == 0
    assert math.isnan(st.ndcg([0.0, 0.0]))
    assert st.recall_at(["a", "b", "c"], {"b", "x"}, k=2) == 0.5
