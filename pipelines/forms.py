"""Schedules in the words of other schedulers."""

from collections.abc import Callable, Mapping

from pipelines.specs import SpecFile


def crontab(spec: SpecFile) -> str:
    assert spec.job.schedule is not None
    zone = f"CRON_TZ={spec.job.schedule.timezone}\n"
    return f"{zone}{spec.job.schedule.cron} cd $CHATCORE && python -m pipelines run {spec.job.name}"


def systemd(spec: SpecFile) -> str:
    """Not every cron expression has a calendar form, so the timer looks each minute and claims decide what is due."""
    assert spec.job.schedule is not None
    return (
        f"# chatcore-{spec.job.name}.service\n[Service]\nType=oneshot\nWorkingDirectory=%h/chatcore\n"
        f"ExecStart=python -m pipelines serve --once\n\n"
        f"# chatcore-{spec.job.name}.timer ({spec.job.schedule.cron} {spec.job.schedule.timezone})\n"
        "[Timer]\nOnCalendar=minutely\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )


def kubernetes(spec: SpecFile) -> str:
    assert spec.job.schedule is not None
    return (
        f"apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {spec.job.name}}}\nspec:\n"
        f'  schedule: "{spec.job.schedule.cron}"\n  timeZone: {spec.job.schedule.timezone}\n'
        "  concurrencyPolicy: Forbid\n  jobTemplate:\n    spec:\n      backoffLimit: 0\n      template:\n"
        "        spec:\n          restartPolicy: Never\n          containers:\n"
        f'          - {{name: run, image: chatcore, command: [python, -m, pipelines, run, "{spec.job.name}"]}}\n---'
    )


FORMS: Mapping[str, Callable[[SpecFile], str]] = {"crontab": crontab, "systemd": systemd, "kubernetes": kubernetes}
