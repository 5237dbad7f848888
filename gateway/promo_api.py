"""`POST /v0/promo`: redeem a promotion code, as Unify's clients do."""

from django.db import transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.management import ManagementView
from accounts.permissions import Action
from billing.errors import PromotionRefused, PromotionUsed
from billing.payment_models import MAX_CODE_CHARACTERS
from billing.promotions import redeem_promotion_code
from gateway.errors import InvalidValue, NotFound


class PromoInput(serializers.Serializer[None]):
    """Unify's `user` is whom its own staff redeem for; here a key belongs to one organization."""

    code = serializers.CharField(max_length=MAX_CODE_CHARACTERS)


class Promo(ManagementView):
    """Adds the code's credit to the key's organization: 400 for a code used before, 404 for one unknown."""

    def post(self, request: Request) -> Response:
        self.require(Action.MANAGE_BILLING)
        code = self.parameters(PromoInput)["code"]
        bearer = self.bearer
        try:
            with transaction.atomic():
                redemption = redeem_promotion_code(
                    organization=bearer.organization, person=bearer.api_key.created_by, code=code
                )
                self.record("promotion.redeem", target=redemption.code.code, target_id=redemption.pk)
        except PromotionUsed as exc:
            raise InvalidValue(str(exc), param="code") from exc
        except PromotionRefused as exc:
            raise NotFound(str(exc), param="code") from exc
        amount_usd = redemption.code.amount_usd
        return Response({"info": f"Code redeemed: ${amount_usd:,.2f} of credit added."})
