"""The endpoint that embeds questions: an organization's own connection, a model of it and its price."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0009_routing_policy")]

    operations = [
        migrations.AddField(
            model_name="reusepolicy",
            name="embedding_connection",
            field=models.ForeignKey(
                blank=True,
                help_text="Who tells how alike two questions are; empty: nobody.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="gateway.providerconnection",
            ),
        ),
        migrations.AddField(
            model_name="reusepolicy",
            name="embedding_usd_per_million",
            field=models.DecimalField(
                db_default=0,
                decimal_places=6,
                default=0,
                help_text="What a million tokens of it cost.",
                max_digits=12,
            ),
        ),
        migrations.AlterField(
            model_name="reusepolicy",
            name="embedding_model",
            field=models.CharField(
                blank=True, help_text="The model's name at that connection.", max_length=265
            ),
        ),
        migrations.AddConstraint(
            model_name="reusepolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("embedding_usd_per_million__gte", 0)),
                name="reuse_policy_price_not_negative",
            ),
        ),
    ]
