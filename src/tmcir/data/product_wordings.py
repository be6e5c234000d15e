"""Many wordings of a change of one attribute of a product, for training; and some held out of it.

A text is a frame around a phrase: "the same but {}" around "in navy". Values have several names:
"tshirts", "a t-shirt", "tees". The held-out texts are built unlike those of training, so that they
measure how a model reads wordings that it never saw.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

MODIFIER_FRAMES = (
    "{}",
    "{}",
    "{}",
    "the same {}",
    "the same but {}",
    "the same one, {}",
    "like this but {}",
    "like this, {}",
    "this one {}",
    "this {}",
    "I would like it {}",
    "I want this {}",
    "do you have it {}?",
    "do you have this one {}?",
    "something like this {}",
    "something similar {}",
    "similar, {}",
    "exactly this, {}",
    "show me this {}",
    "find me this {}",
    "{}, otherwise the same",
    "I need it {}",
    "can I get this {}?",
    "is there one {}?",
    "{}, please",
    "same design {}",
)
PREDICATE_FRAMES = (
    "{}",
    "{}",
    "{}",
    "it {}",
    "the one I want {}",
    "one that {}",
    "similar but {}",
    "find one that {}",
    "{}, the rest stays",
    "the same except that it {}",
    "like this, but it {}",
    "show me one that {}",
    "something that {}",
    "I want one which {}",
    "the new one {}",
)
COMMAND_FRAMES = (
    "{}",
    "{}",
    "{}",
    "please {}",
    "can you {}?",
    "{}, please",
    "take this and {}",
    "keep the rest but {}",
    "{} and keep everything else",
    "just {}",
    "could you {}?",
    "only {}",
)

NOUN_FRAMES = (
    "{}",
    "{}",
    "{}",
    "I would like {}",
    "show me {}",
    "{}, please",
    "looking for {}",
    "like this but {}",
    "do you have {}?",
    "I prefer {}",
    "make that {}",
    "rather {}",
)

GENDERS = {
    "men": ("men", "men", "men", "a man", "guys", "him", "gentlemen", "males"),
    "women": ("women", "women", "women", "a woman", "ladies", "her", "females"),
    "unisex": ("unisex", "unisex", "everyone", "men and women", "both men and women", "anyone"),
    "boys": ("boys", "a boy"),
    "girls": ("girls", "a girl"),
}
GENDER_ADJECTIVES = {
    "men": ("men's", "mens", "men", "male", "masculine"),
    "women": ("women's", "womens", "women", "ladies'", "female", "feminine"),
    "unisex": ("unisex",),
    "boys": ("boys'",),
    "girls": ("girls'",),
}
TYPES = {
    "tshirts": ("t-shirts", "a t-shirt", "a tee", "t-shirt"),
    "shirts": ("a shirt", "shirt"),
    "casual shoes": ("a casual shoe", "casual footwear", "sneakers"),
    "sports shoes": ("a sports shoe", "running shoes", "trainers", "athletic shoes"),
    "formal shoes": ("a formal shoe", "dress shoes", "leather dress shoes"),
    "tops": ("a top", "top"),
    "kurtas": ("a kurta", "kurta"),
    "kurtis": ("a kurti",),
    "watches": ("a watch", "wristwatches", "watch"),
    "handbags": ("a handbag", "purses", "handbag"),
    "heels": ("high heels", "heeled shoes"),
    "sunglasses": ("shades", "sun glasses"),
    "sweaters": ("a sweater", "a pullover", "knitwear", "sweater"),
    "sandals": ("a sandal", "sandal"),
    "wallets": ("a wallet", "wallet"),
    "flip flops": ("flip-flops", "slippers", "thongs for the beach"),
    "sweatshirts": ("a sweatshirt", "a sweat shirt", "sweatshirt"),
    "belts": ("a belt", "belt"),
    "trousers": ("pants", "a pair of trousers", "slacks"),
    "socks": ("a pair of socks",),
    "jeans": ("a pair of jeans", "denims", "denim jeans"),
    "jackets": ("a jacket", "jacket"),
    "flats": ("flat shoes", "ballet flats", "a flat shoe"),
    "backpacks": ("a backpack", "a rucksack"),
    "shorts": ("a pair of shorts", "short pants"),
    "caps": ("a cap", "a baseball cap", "cap"),
    "track pants": ("trackpants", "jogging pants", "sweatpants"),
    "ties": ("a tie", "a necktie"),
    "clutches": ("a clutch", "a clutch bag"),
    "dresses": ("a dress", "dress"),
    "mufflers": ("a muffler", "a scarf"),
}
COLOURS = {
    "navy blue": ("navy", "dark blue"),
    "grey": ("gray",),
    "beige": ("sand",),
    "maroon": ("dark red", "wine red"),
}
PATTERNS = {
    "striped": ("striped", "striped", "stripy", "with stripes"),
    "checked": ("checked", "checked", "checkered", "with checks", "plaid"),
    "printed": ("printed", "printed", "with a print", "graphic"),
    "solid": ("solid", "solid", "plain", "without a pattern", "single-coloured"),
}
USAGES = {
    "formal": (
        (
            "for the office",
            "for work",
            "for a formal occasion",
            "for formal wear",
            "for a business meeting",
            "in a formal style",
            "for a wedding",
            "in a smarter version",
            "for an interview",
        ),
        (
            "is more formal",
            "is formal",
            "looks smarter",
            "is dressier",
            "is less casual",
            "looks more elegant",
        ),
        (
            "make it more formal",
            "make it formal",
            "make it smarter",
            "dress it up",
            "make it suit the office",
        ),
        (
            "more formal",
            "a formal one",
            "something more formal",
            "formal",
            "dressier",
            "more businesslike",
        ),
    ),
    "casual": (
        (
            "for every day",
            "for the weekend",
            "for leisure",
            "for casual wear",
            "for everyday wear",
            "in a casual style",
            "for free time",
            "in a more relaxed style",
            "for a casual occasion",
        ),
        (
            "is more casual",
            "is casual",
            "looks more relaxed",
            "is less formal",
            "is less sporty",
            "is for everyday use",
        ),
        (
            "make it more casual",
            "make it casual",
            "dress it down",
            "make it less formal",
            "make it fit for every day",
        ),
        (
            "more casual",
            "a casual one",
            "something more casual",
            "casual",
            "less formal",
            "more relaxed",
        ),
    ),
    "sports": (
        (
            "for sports",
            "for the gym",
            "for running",
            "for training",
            "for a workout",
            "in a sporty style",
            "for exercise",
            "for playing sports",
        ),
        (
            "is sportier",
            "is sporty",
            "looks more athletic",
            "is made for sports",
            "is for training",
        ),
        ("make it sporty", "make it more sporty", "make it fit for sports", "make it athletic"),
        (
            "sportier",
            "a sporty one",
            "something for sports",
            "sports",
            "more athletic",
            "sportswear",
        ),
    ),
    "ethnic": (
        ("for a festival", "in an ethnic style", "in a traditional style", "for ethnic wear"),
        ("is more traditional", "is ethnic", "looks traditional"),
        ("make it ethnic", "make it more traditional"),
        ("more traditional", "an ethnic one", "ethnic"),
    ),
}

Phrases = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Phrases as modifiers ("in red"), predicates ("is red"), commands ("make it red"), and nouns."""


def _gender(old: str, new: str, generator: random.Random) -> Phrases:
    o, n = generator.choice(GENDERS[old]), generator.choice(GENDERS[new])
    a, b = generator.choice(GENDER_ADJECTIVES[new]), generator.choice(GENDER_ADJECTIVES[old])
    return (
        (
            f"for {n}",
            f"for {n}",
            f"not for {o} but for {n}",
            f"for {n} instead of {o}",
            f"for {n}, not {o}",
            f"in a {a} version",
            f"in a {a} cut",
        ),
        (
            f"is for {n}",
            f"is meant for {n}",
            f"is made for {n}",
            f"fits {n}",
            f"is for {n} and not for {o}",
            f"is not for {o} but for {n}",
        ),
        (
            f"make it for {n}",
            f"change it to {a}",
            f"replace {b} with {a}",
            f"switch from {b} to {a}",
        ),
        (
            f"the {a} version",
            f"a {a} one",
            f"{a}",
            f"{a} instead of {b}",
            f"{n} rather than {o}",
            f"not {b}, but {a}",
        ),
    )


def _colour(old: str, new: str, generator: random.Random) -> Phrases:
    n = generator.choice((new, new, new, *COLOURS.get(new, ())))
    return (
        (
            f"in {n}",
            f"in {n}",
            f"in {n} instead of {old}",
            f"in {n} rather than {old}",
            f"in {n}, not in {old}",
            f"not in {old} but in {n}",
            f"with a {n} colour",
            f"in a {n} colour",
            f"in the colour {n}",
        ),
        (
            f"is {n}",
            f"is {n}",
            f"is {n} and not {old}",
            f"is {n} instead of {old}",
            f"comes in {n}",
            f"has a {n} colour",
            f"is not {old} but {n}",
            f"is coloured {n}",
        ),
        (
            f"make it {n}",
            f"change the colour to {n}",
            f"swap the {old} for {n}",
            f"replace {old} with {n}",
            f"change {old} to {n}",
            f"turn it {n}",
            f"paint it {n}",
        ),
        (
            f"{n}",
            f"the {n} one",
            f"a {n} one",
            f"{n} instead of {old}",
            f"{n} rather than {old}",
            f"not {old}, but {n}",
            f"not {old}, {n}",
        ),
    )


def _pattern(old: str, new: str, generator: random.Random) -> Phrases:
    n, o = generator.choice(PATTERNS[new]), generator.choice(PATTERNS[old])
    noun = {"striped": "stripes", "checked": "checks", "printed": "a print", "solid": "no pattern"}[
        new
    ]
    gone = {"striped": "stripes", "checked": "checks", "printed": "the print", "solid": ""}[old]
    without = (f"without {gone}",) if gone and new == "solid" else ()
    remove = (f"remove {gone}", f"leave out {gone}") if gone and new == "solid" else ()
    return (
        (
            f"with {noun}",
            f"with {noun}",
            f"with a {new} look",
            f"in a {new} design",
            f"with a {new} pattern" if new != "solid" else "in plain cloth",
            *without,
        ),
        (
            f"is {n}",
            f"has {noun}",
            f"is {n} and not {o}",
            f"is not {o} but {n}",
            f"is {n} instead of {o}",
        ),
        (
            f"make it {n}",
            f"give it {noun}" if new != "solid" else "make it all one colour",
            f"replace {o} with {n}",
            f"change {o} to {n}",
            *remove,
        ),
        (
            f"{n}",
            f"a {new} one",
            f"{n} instead of {o}",
            f"{n} rather than {o}",
            f"not {o}, but {n}",
        ),
    )


def _type(old: str, new: str, generator: random.Random) -> Phrases:
    n, o = (
        generator.choice((new, new, *TYPES.get(new, ()))),
        generator.choice((old, old, *TYPES.get(old, ()))),
    )
    return (
        (f"as {n}", f"as {n} instead of {o}", f"in the form of {n}"),
        (f"is {n}", f"is {n} and not {o}", f"is not {o} but {n}"),
        (
            f"make it {n}",
            f"turn it into {n}",
            f"replace {o} with {n}",
            f"change {o} to {n}",
            f"show me {n} like this",
        ),
        (
            f"{n} in the same style",
            f"{n}",
            f"matching {n}",
            f"similar {n}",
            f"{n} instead of {o}",
            f"{n} rather than {o}",
            f"not {o} but {n}",
            f"I am looking for {n}",
            f"{n} like this",
            f"{n} that look like this",
        ),
    )


def _usage(old: str, new: str, generator: random.Random) -> Phrases:
    return USAGES[new]


MAKERS: dict[str, Callable[[str, str, random.Random], Phrases]] = {
    "gender": _gender,
    "colour": _colour,
    "pattern": _pattern,
    "type": _type,
    "usage": _usage,
}


def modify(kind: str, old: str, new: str, generator: random.Random) -> str:
    """Return a training text that changes one attribute.

    Args:
        kind: One of ``KINDS``.
        old: Value of the reference, in lower case, as the table names it.
        new: Value of the target.
        generator: Chooses among the wordings.
    """
    modifiers, predicates, commands, nouns = MAKERS[kind](old, new, generator)
    frames, phrases = generator.choice(
        (
            (MODIFIER_FRAMES, modifiers),
            (PREDICATE_FRAMES, predicates),
            (COMMAND_FRAMES, commands),
            (NOUN_FRAMES, nouns),
        )
    )
    return generator.choice(frames).format(generator.choice(phrases))


# Never in training. Sentences are built unlike those above; the values keep the catalogue's names.
HELD_OUT: dict[str, tuple[str, ...]] = {
    "gender": (
        "could I see that from the {new} range",
        "I'm shopping for {new} this time",
        "suitable for {new}",
        "anything comparable in the {new} department?",
        "what would {new} wear that resembles this?",
        "swap it over to something {new} can wear",
        "aimed at {new}, no longer at {old}",
        "my gift is going to {new}",
        "it belongs on {new}",
    ),
    "colour": (
        "got this with a {new} finish?",
        "switch the shade to {new}",
        "recolour to {new}",
        "{new} would suit me better",
        "what about {new}?",
        "dyed {new}",
        "lose the {old}, go for {new}",
        "the {old} is wrong, I was after {new}",
        "could it come out {new}",
        "my favourite colour is {new}",
        "a {new} variant of that product",
    ),
    "pattern": (
        "I prefer it when clothes are {new}",
        "got any {new} ones?",
        "go for something {new}",
        "what about {new}?",
        "the surface should be {new}",
        "a variant whose fabric is {new}",
        "drop the {old} look, choose {new}",
        "{new} would suit me better",
    ),
    "type": (
        "which {new} would go with that?",
        "got any {new} along those lines?",
        "I already own the {old}, now I need {new}",
        "swap it over to {new}",
        "what about {new}?",
        "{new} of that kind",
        "from {old} to {new}",
        "a counterpart among the {new}",
        "forget {old}, find {new}",
    ),
}
HELD_OUT_USAGE: dict[str, tuple[str, ...]] = {
    "formal": (
        "something I can wear to a board meeting",
        "a more dressed-up alternative",
        "too casual, I need it smart",
        "fit for a black-tie dinner",
    ),
    "casual": (
        "too stiff, I want to relax in it",
        "a dressed-down alternative",
        "what I'd put on to meet friends on Sunday",
        "nothing fancy, daily use",
    ),
    "sports": (
        "I'd like to exercise in it",
        "an active-wear alternative",
        "what athletes would choose",
        "so that I can work out",
    ),
    "ethnic": ("a folk-style alternative",),
}


def held_out(kind: str, old: str, new: str, generator: random.Random) -> str:
    """Return a text for the same change that is built unlike those of ``modify``."""
    texts = HELD_OUT_USAGE[new] if kind == "usage" else HELD_OUT[kind]
    return generator.choice(texts).format(old=old, new=new)


def describe(values: Sequence[str], generator: random.Random) -> str:
    """Return a caption of a product in one of many forms.

    Args:
        values: Gender, colour, pattern, type and usage in lower case; usage may be empty.
        generator: Chooses the form.
    """
    gender, colour, pattern, kind, usage = values
    words = [colour]
    if pattern != "solid" or generator.random() < 0.5:
        words.append(pattern)
    words.append(generator.choice((kind, kind, *TYPES.get(kind, ()))))
    phrase = " ".join(words)
    people = generator.choice(GENDERS[gender])
    text = generator.choice(
        (
            f"{phrase} for {people}",
            f"{phrase}, {people}",
            f"{gender} {phrase}",
            f"{kind} for {people} in {colour}, {pattern}",
            f"{gender} {colour} {pattern} {kind}",
        )
    )
    if usage and generator.random() < 0.4:
        forms = (f"{usage} {text}", f"{text}, {usage}", f"{text} for {usage} use")
        text = generator.choice(forms)
    return text
