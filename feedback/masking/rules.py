"""The rules: each finds one kind of personal data in a text, with a form that tells two apart.

Repetitions in the patterns are bounded, so that no text makes them slow.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import phonenumbers
from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher


class Found(NamedTuple):
    """A place in a text, by code points; equal `key`s are the same thing written differently."""

    start: int
    end: int
    kind: str
    key: str


_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24}(?![\w-])")
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@:]{1,200}:[^\s/@]{1,200}(?=@)")
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|ghp|gho|ghs|xox[abp]|hf|glpat)[-_][A-Za-z0-9_-]{16,200}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{8,2000}\.[\w-]{8,2000}\.[\w-]{8,2000}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{0,8000}?-----END [A-Z ]{0,30}PRIVATE KEY-----"
)
_ASSIGNED = re.compile(
    r"(?i)\b(?:password|passwd|passwort|mot de passe|contraseña|token|api[_ -]?key|secret)"
    r"(?:\s{0,3}[:=]\s{0,3}|\s(?:is|ist|est|es)\s)[\"']?([^\s\"'&,;]{6,200})"
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{1,4}){3,8}\b", re.IGNORECASE)
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)
_SSN = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
#: Countries whose national ways of writing a number are known besides +44 20 ….
_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "IN", "BR")
_TOLD_PHONE = re.compile(
    r"(?i)\b(?:phone|mobile|cell|tel(?:ephone|efon|éfono|efono)?|whatsapp|handy|rufnummer|call me"
    r"|text me|fax)\b[^\d+\n]{0,20}(\+?\d(?:[ ()./-]{0,2}\d){6,14})"
)

_WORD = r"[^\W\d_][\w'’.-]{0,30}"
_TITLE = r"(?:(?-i:[A-ZÀ-ÖØ-Þ])[\w'’.-]{0,30})"
_NUMBER = r"\d{1,5}(?:\s?(?-i:[a-zA-Z])\b)?(?:[/-]\d{1,4})?"
_STREETS = [
    # 12 Baker Street · 1600 Pennsylvania Ave NW
    rf"\b{_NUMBER}[,]?\s{_TITLE}(?:\s{_TITLE}){{0,3}}\s(?:street|st|avenue|ave|road|rd|lane|ln|drive"
    r"|dr|boulevard|blvd|court|ct|square|sq|place|terrace|close|crescent|highway|hwy|parkway)\b",
    # Hauptstraße 5 · Unter den Linden keeps its name; Keizersgracht 12
    rf"\b{_TITLE}?[^\W\d_]{{0,30}}(?:straße|strasse|str\.|weg|platz|allee|gasse|damm|ufer|straat"
    rf"|laan|plein|gracht|gatan|vägen|vej|veien|gata)\s{_NUMBER}\b",
    # 12 rue de la Paix · 3 bis, avenue Foch
    rf"\b{_NUMBER}(?:\s(?:bis|ter))?,?\s(?:rue|avenue|boulevard|place|chemin|allée|impasse|quai)"
    rf"(?:\s(?:de|du|des|la|le|les|d[’'])){{0,3}}\s?{_TITLE}(?:\s{_TITLE}){{0,3}}",
    # Calle de Alcalá 45 · Via Roma, 7 · Rua Augusta 100 · ul. Długa 3
    rf"\b(?:calle|avenida|plaza|paseo|via|viale|piazza|corso|rua|travessa|ul\.|ulica)"
    rf"(?:\s(?:de|del|della|dei|la|las|los|da|do|dos)){{0,2}}\s{_TITLE}(?:\s{_TITLE}){{0,3}}"
    rf",?\s(?:n[.º°]\s?)?{_NUMBER}\b",
    # улица Ленина, 5 · ул. Мира 10
    rf"\b(?:улица|ул\.|проспект|пр\.|переулок)\s{_WORD}(?:\s{_WORD}){{0,2}},?\s(?:д\.?\s?)?{_NUMBER}",
]
_STREET = re.compile("|".join(f"(?:{one})" for one in _STREETS), re.IGNORECASE)

_SELF = re.compile(
    r"(?:\b(?:my (?:full )?name is|my name's|i am called|i'm called|call me|mein name ist"
    r"|ich hei(?:ß|ss)e|je m['’]appelle|mon nom est|me llamo|mi nombre es|mi chiamo"
    r"|il mio nome è|meu nome é|me chamo|chamo-me|ik heet|mijn naam is|jag heter|jeg heter"
    r"|jeg hedder|nazywam się|mam na imię|меня зовут|моё имя|benim adım|adım|اسمي|نامی من)"
    r"\s{1,3})"
    r"(?P<name>[^\W\d_][\w'’-]{0,30}(?:\s(?-i:[^\W\d_a-zß-öø-ÿа-я])[\w'’.-]{0,30}){0,2})"
    r"|(?:我叫|我的名字是|我的名字叫|私の名前は|わたしの名前は|제 이름은 ?|내 이름은 ?)"
    r"(?P<short>[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7a3]{2,4}?)"
    r"(?=$|[\s,.!?，。！？、]|です|입니다|이에요|예요)",
    re.IGNORECASE,
)
_SIGNED = re.compile(
    r"(?:kind regards|best regards|regards|sincerely|best wishes|yours truly|cheers"
    r"|mit freundlichen grüßen|viele grüße|liebe grüße|cordialement|saludos|un saludo"
    r"|cordiali saluti|atenciosamente|met vriendelijke groet)[,.!]?\s{0,3}\n\s{0,8}"
    rf"(?P<name>{_TITLE}(?:\s{_TITLE}){{0,2}})[ \t]{{0,8}}(?=\n|$)",
    re.IGNORECASE,
)
#: Words that follow "call me" or "my name is" and are no name.
_NO_NAME = frozenset(
    "a an the not no on in at to of and or but if it its that this when what why how later back"
    " tomorrow today crazy please maybe old sir written spelled hard difficult important common"
    " also just very your my in the".split()
)


def emails(text: str) -> Iterator[Found]:
    if "@" in text:
        for one in _EMAIL.finditer(text):
            yield Found(*one.span(), "EMAIL", one.group().lower())


def secrets(text: str) -> Iterator[Found]:
    """Credentials in URLs, keys by their form, and what is said to be a password."""
    for pattern in (_CREDENTIALS, _SECRET):
        for one in pattern.finditer(text):
            yield Found(*one.span(), "SECRET", one.group())
    for one in _ASSIGNED.finditer(text):
        yield Found(*one.span(1), "SECRET", one.group(1))


def ibans(text: str) -> Iterator[Found]:
    for one in _IBAN.finditer(text):
        # The pattern may have run on into the next words: the longest part that checks counts.
        whole = one.group()
        for end in range(len(whole), 14, -1):
            compact = re.sub(r"[ -]", "", whole[:end]).upper()
            at_edge = end == len(whole) or not whole[end].isalnum()
            if at_edge and 15 <= len(compact) <= 34 and iban_is_valid(compact):
                yield Found(one.start(), one.start() + end, "IBAN", compact)
                break


def iban_is_valid(iban: str) -> bool:
    """ISO 13616: the first four characters last, letters as 10 to 35, remainder 1 modulo 97."""
    moved = iban[4:] + iban[:4]
    return (
        moved.isalnum()
        and moved.isascii()
        and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1
    )


def cards(text: str) -> Iterator[Found]:
    for one in _CARD.finditer(text):
        digits = re.sub(r"\D", "", one.group())
        if digits[0] in "23456" and luhn_is_valid(digits):
            yield Found(*one.span(), "CARD", digits)


def luhn_is_valid(digits: str) -> bool:
    """ISO/IEC 7812-1: every second digit from the right doubled, the sum a multiple of ten."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = (sum(divmod(2 * value, 10)) for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def addresses(text: str) -> Iterator[Found]:
    """IP addresses, but those of one's own machine and of no machine."""
    for pattern in (_IPV4, _IPV6):
        for one in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(one.group())
            except ValueError:
                continue
            groups = [group for group in one.group().lower().split(":") if group]
            if address.version == 6 and len(groups) < 3 and groups[:1] != ["fe80"]:
                continue  # a::b and x[10::2] are code
            if not (address.is_loopback or address.is_unspecified):
                yield Found(*one.span(), "IP", str(address))


def phones(text: str) -> Iterator[Found]:
    """International numbers, national ones written as their country does, and any after a word
    that announces one."""
    if sum(c.isdigit() for c in text) < 7:
        return
    for region in (None, *_REGIONS):
        leniency = Leniency.VALID if region is None else Leniency.STRICT_GROUPING
        for one in PhoneNumberMatcher(text, region, leniency=leniency):
            key = phonenumbers.format_number(one.number, PhoneNumberFormat.E164)
            if region is None or re.search(r"\D", one.raw_string):  # not any run of digits
                yield Found(one.start, one.end, "PHONE", key)
    for one in _TOLD_PHONE.finditer(text):
        yield Found(*one.span(1), "PHONE", re.sub(r"\D", "", one.group(1)))


def identities(text: str) -> Iterator[Found]:
    """Social security numbers as written in the United States."""
    for one in _SSN.finditer(text):
        yield Found(*one.span(), "ID", one.group())


def streets(text: str) -> Iterator[Found]:
    for one in _STREET.finditer(text):
        yield Found(*one.span(), "ADDRESS", " ".join(one.group().lower().split()))


def names_told(text: str) -> Iterator[str]:
    """Names that somebody gives as their own, or signs with."""
    for one in _SELF.finditer(text):
        name = one.group("name") or one.group("short")
        if name.split()[0].lower() not in _NO_NAME:
            yield name.rstrip("'’-.")
    for one in _SIGNED.finditer(text):
        yield one.group("name").rstrip(".")


#: In the order of precedence where two overlap.
RULES: tuple[Callable[[str], Iterator[Found]], ...] = (
    secrets, emails, ibans, cards, identities, addresses, phones, streets,
)  # fmt: skip
