"""What the purchase order task asks for."""

from pydantic import BaseModel, ConfigDict, Field


class Buyer(BaseModel):
    """Who orders."""

    model_config = ConfigDict(extra="forbid", strict=True)

    company: str = Field(description="Name of the ordering company or institution, legal form included where stated")
    contact: str | None = Field(description="Person who orders, without title or salutation; null if not stated")
    city: str | None = Field(description="City of the buyer, without postcode and state; null if not stated")


class Item(BaseModel):
    """One ordered article."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(description="Article in the words of the order, without quantity, packing unit, number or price")
    quantity: int | float = Field(gt=0, description="How many of it are ordered")
    unit_price: int | float | None = Field(description="Price of one, in the order's currency; null if not stated")


class PurchaseOrder(BaseModel):
    """A purchase order as it arrived: who orders what, and at which prices."""

    model_config = ConfigDict(extra="forbid", strict=True)

    order_number: str | None = Field(description="The buyer's own order number as written; null if not stated")
    buyer: Buyer
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217 code of the prices")
    items: list[Item] = Field(min_length=1, description="What is ordered, cancelled lines left out")
