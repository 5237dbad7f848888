"""Budgets of tags, end users and model families; rolling, observed, with alerts; any number at once.

Going back needs one budget per scope and window, as there was.
"""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0013_prices_append_only")]

    operations = [
        migrations.RemoveConstraint(
            model_name="budget",
            name="budget_once_per_scope_and_window",
        ),
        migrations.AddField(
            model_name="budget",
            name="alert_percents",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.PositiveSmallIntegerField(),
                blank=True,
                db_default=[50, 80, 100],
                help_text="Its people are told once a period when so many per cent are spent.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="is_each",
            field=models.BooleanField(
                default=False,
                help_text="Each tag or end user has this amount for itself; the subject is empty.",
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="is_observed",
            field=models.BooleanField(
                default=False, help_text="Refuses nothing; requests that it would have refused are counted."
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="is_rolling",
            field=models.BooleanField(
                default=False, help_text="The last hour, day, … of any moment, instead of the calendar's."
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="name",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="budget",
            name="subject",
            field=models.CharField(
                blank=True, help_text="The tag, end user or model family that it binds.", max_length=256
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="scope",
            field=models.CharField(
                choices=[
                    ("organization", "Organization"),
                    ("project", "Project"),
                    ("key", "Key"),
                    ("tag", "Tag"),
                    ("end_user", "End user"),
                    ("model", "Model family"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="scope_id",
            field=models.UUIDField(
                help_text="The id of the project or key that it binds; the organization's for all else."
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="window",
            field=models.CharField(
                choices=[
                    ("hour", "an hour"),
                    ("day", "a day"),
                    ("week", "a week"),
                    ("month", "a month"),
                    ("quarter", "a quarter"),
                    ("total", "in total"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="budget",
            index=models.Index(fields=["organization", "scope", "scope_id"], name="budget_by_scope"),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_rolling", True), ("window", "total"), _negated=True),
                name="budget_total_never_rolls",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("is_each", False),
                    models.Q(("scope__in", ["tag", "end_user"]), ("subject", "")),
                    _connector="OR",
                ),
                name="budget_each_tag_or_end_user",
            ),
        ),
    ]
