"""Personal data out of conversations by a stated set of rules. No Django here.

What is found: e-mail addresses, phone numbers (by `phonenumbers`), payment cards (Luhn), IBANs
(checksum), addresses of machines, keys and credentials, streets with a number, and names that
somebody gives as their own. What is not: names told in any other way, places, employers,
anything that only a reader recognises. So what is masked is still looked at by a person.
"""

from feedback.masking.mask import Mark, Masked, Masker

__all__ = ["Mark", "Masked", "Masker"]
