"""Keep what a processor was asked for, and who waits longest to be asked about or looked at."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0025_database_defaults")]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="description",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="This and the next two: as it was first asked for.",
                max_length=256,
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="customer_ref",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        migrations.AddField(
            model_name="payment",
            name="card_ref",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="Of a refill.", max_length=255
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="asked_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When the processor was last asked: whoever waits longest is next.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="billingprofile",
            name="refill_looked_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="When it was last found to be due: others are next.",
                null=True,
            ),
        ),
    ]
