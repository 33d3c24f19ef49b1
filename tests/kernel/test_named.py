"""Records whose values have names, objects or rows below a header: as Python answers, or left to it."""

import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.serving.invocation import ServedModel
from service.serving.media import Reader
from tests.kernel.conftest import ACCEPTED, TYPES, is_taken
from tests.serving.conftest import CSV, JSON, JSON_LINES, ask
from tests.serving.test_codec import BAD_NUMBERS, NUMBERS, mutate

NAMES = ("Age", "Spending_Power", "Income", "Purchases")
RAW = ("Age", "Income", "Purchases")
FEATURES = ("Age", "Spending_Power")
PLAIN = ("0", "1", "0.5", "25", "60010", "1250.25", "1e3", "0.1", "123456789.125")
OTHERS = ("Gender", "Customer_ID", "Größe", "age", "Age ", "", "instance", "x" * 300, "顧客", "🙂")
"""Names that mean nothing here."""
MEANINGFUL = ("features", "instances", "inputs", "Income", "Age", "\\u0041ge", "feature\\u0073")
"""Names that mean something somewhere, as they stand in JSON."""
VALUES = (
    *('"Ada"', '""', '"Jos\\u00e9 \\"X\\" \\\\ \\/ \\b\\f\\n\\r\\t"', '"Größe 🙂"', "true", "false", "null"),
    *("-1", "-0.5", "7", "1e5", '"25"', "0"),
)
"""What such names may have, as it stands in JSON."""
ODD_VALUES = (
    *("[]", "{}", "[1]", '{"Age": 1}', "tru", "nul", "falsey", "+1", "01", "-", "--1", "1e999", "NaN", "'x'"),
    *('"\\ud83d\\ude42"', '"\\ud83d"', '"\\ude42"', '"\\x41"', '"\\u12g4"', '"\\u123"', '"a\nb"', '"a', ""),
)


def write_object(fields: Sequence[tuple[str, str]], chance: random.Random, *, line: bool = False) -> str:
    blanks = ("", " ", "\t", "\r") if line else ("", " ", "\t", "\r\n", "\n ")

    def blank() -> str:
        return chance.choice(blanks) if chance.random() < 0.3 else ""

    texts = [f'{blank()}"{name}"{blank()}:{blank()}{value}{blank()}' for name, value in fields]
    return f"{{{','.join(texts)}}}"


def plain_fields(chance: random.Random) -> list[tuple[str, str]]:
    names = list(chance.choice([RAW, FEATURES, NAMES]))
    fields = [(name, chance.choice(PLAIN)) for name in names]
    fields += [(name, chance.choice(VALUES)) for name in chance.choices(OTHERS, k=chance.randrange(3))]
    if chance.random() < 0.2:
        fields.append(("features", f"[{chance.choice(PLAIN)}, {chance.choice(PLAIN)}]"))
    if chance.random() < 0.2:  # the last one counts
        fields.append((chance.choice(names), chance.choice(PLAIN)))
    return chance.sample(fields, len(fields))


def odd_fields(chance: random.Random) -> list[tuple[str, str]]:
    fields = plain_fields(chance)
    place = chance.randrange(len(fields))
    match chance.randrange(5):
        case 0:
            del fields[place]
        case 1:
            fields[place] = (fields[place][0], chance.choice((*ODD_VALUES, *VALUES)))
        case 2:
            fields.insert(place, (chance.choice(MEANINGFUL), chance.choice((*VALUES, *PLAIN, "[1, 2]"))))
        case 3:
            fields[place] = (fields[place][0], chance.choice((*NUMBERS, *BAD_NUMBERS)))
        case _:
            fields.insert(place, (chance.choice(OTHERS), chance.choice(ODD_VALUES)))
    return fields


def write_document(objects: Sequence[str], chance: random.Random) -> bytes:
    match chance.randrange(5):
        case 0:
            text = f'{{"{chance.choice(["instances", "inputs"])}": [{", ".join(objects)}]}}'
        case 1:
            text = objects[0]
        case 2:
            text = f"[[25, 1250.5], {','.join(objects)}]"
        case _:
            text = f"[{','.join(objects)}]"
    return text.encode()


def write_body(
    reader: Reader, chance: random.Random, *, plain: int, odd: Sequence[Sequence[tuple[str, str]]] = ()
) -> bytes:
    """Return so many plain objects, and the odd ones anywhere among them."""
    is_line = reader is Reader.JSON_LINES
    fields = [*(plain_fields(chance) for _ in range(plain)), *odd]
    objects = [write_object(one, chance, line=is_line) for one in chance.sample(fields, len(fields))]
    return "\n".join(objects).encode() if is_line else write_document(objects, chance)


@pytest.mark.parametrize("accept", ACCEPTED)
@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 4097])
def test_objects_are_answered_and_counted_alike(models: list[ServedModel], n: int, accept: str) -> None:
    chance = random.Random(n)
    for served in models:
        for reader in (Reader.JSON, Reader.JSON_LINES):
            body = write_body(reader, chance, plain=n)

            assert is_taken(body, served, content_type=TYPES[reader], accept=accept)


@pytest.mark.parametrize("reader", [Reader.JSON, Reader.JSON_LINES])
def test_objects_with_anything_odd_are_answered_alike(models: list[ServedModel], reader: Reader) -> None:
    chance = random.Random(f"odd {reader}")
    taken = 0
    for _ in range(4000):
        body = write_body(reader, chance, plain=chance.randrange(3), odd=[odd_fields(chance)])
        taken += is_taken(body, chance.choice(models), content_type=chance.choice([TYPES[reader], ""]))

    assert 400 < taken < 3000


@pytest.mark.parametrize("reader", [Reader.JSON, Reader.JSON_LINES])
def test_mutants_of_objects_are_answered_alike(models: list[ServedModel], reader: Reader) -> None:
    chance = random.Random(f"mutants {reader}")
    taken = 0
    for _ in range(6000):
        body = write_body(reader, chance, plain=chance.choice([1, 2]))
        taken += is_taken(mutate(body, chance), chance.choice(models), content_type=TYPES[reader])

    assert 600 < taken < 5000


@pytest.mark.parametrize("name", MEANINGFUL)
@pytest.mark.parametrize("value", [*VALUES, "[1, 2]", "[[1, 2]]", '[{"features": [1, 2]}]', "[]", "{}"])
def test_a_name_that_means_something_elsewhere_does_so_here(
    models: list[ServedModel], name: str, value: str
) -> None:
    for fields in (f'"Age": 1, "Spending_Power": 2, "{name}": {value}', f'"{name}": {value}, "Age": 1'):
        for body in (f"{{{fields}}}", f"[{{{fields}}}]", f'{{"instances": [[1, 2]], "{name}": {value}}}'):
            is_taken(body.encode(), models[2], content_type=JSON)
        is_taken(f"{{{fields}}}".encode(), models[2], content_type=JSON_LINES)


DOCUMENTS = ("{0}", "[{0}]", '{{"instances": [{0}]}}', '{{"inputs": [{0}, {0}]}}')
"""What may stand around a record."""
NO_DOCUMENTS = [
    "{0}, {0}",
    "{0},",
    "[{0},]",
    "[,{0}]",
    "[{0} {0}]",
    "[{0}",
    "{0}]",
    "[{0}]]",
    "[[{0}]]",
    "[{0}, 7]",
    "{0} {0}",
    "{0}}}",
    "{{{0}}}",
    '{{"instances": {0}}}',
    '{{"instances": [{0}]',
    '{{"instances": [{0}], "x": 1}}',
    '{{"instances": [{0}]}}}}',
    '{{"instances": [{0}],}}',
    '{{"instances"; [{0}]}}',
    "{{instances: [{0}]}}",
    '{{"instance": [{0}]}}',
    '[{{"instances": [{0}]}}]',
    '{{"instances": [{0}]}} {{}}',
]
"""What may not, and what the kernel leaves to Python."""


@pytest.mark.parametrize("form", [*DOCUMENTS, *NO_DOCUMENTS, "{0}\n{0}"])
def test_what_stands_around_records_is_read_alike(models: list[ServedModel], form: str) -> None:
    for record in ('{"Age": 1, "Spending_Power": 2}', '{"features": [1, 2]}', "[1, 2]", "[\n1 ,2 ]"):
        taken = is_taken(form.format(record).encode(), models[2], content_type=JSON)
        assert taken == (form in DOCUMENTS)
        is_taken(form.format(record).encode(), models[2], content_type=JSON_LINES)


def test_zero_purchases_and_a_power_beside_income_are_read_alike(models: list[ServedModel]) -> None:
    for purchases in ("0", "0.5", "0.999999999999999", "1", "1.0000000000000002", "3", "1e22"):
        for income in ("0", "1", "60010", "0.1", "1e22", "9007199254740993"):
            raw = f'"Age": 40, "Income": {income}, "Purchases": {purchases}'
            for served in models:
                assert is_taken(f"[{{{raw}}}]".encode(), served, content_type=JSON)
                assert is_taken(f'[{{{raw}, "Spending_Power": 7}}]'.encode(), served, content_type=JSON)
                table = f"Age,Income,Purchases\n40,{income},{purchases}\n".encode()
                assert is_taken(table, served, content_type=CSV)


def _wide() -> list[bytes]:
    """Return sequences of bytes at all the borders of what is UTF-8."""
    firsts = [0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF]
    firsts += [0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF]
    seconds = (0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0)
    later = (0x41, 0x80, 0xBF, 0xC0)
    found = [bytes([first]) for first in firsts]
    found += [bytes([first, second]) for first in firsts for second in seconds]
    found += [bytes([first, second, third]) for first in firsts for second in seconds for third in later]
    return found + [
        bytes([first, second, third, fourth])
        for first in firsts
        for second in seconds
        for third in later
        for fourth in later
    ]


def test_text_that_is_passed_over_must_be_utf_8(models: list[ServedModel]) -> None:
    taken = refused = 0
    for wide in _wide():
        for body, content_type in (
            (b'[{"Age": 1, "Spending_Power": 2, "x": "%b"}]' % wide, JSON),
            (b'{"%b": null, "Age": 1, "Spending_Power": 2}' % wide, JSON_LINES),
            (b"x,Age,Spending_Power\n%b,1,2\n" % wide, CSV),
            (b"Age,Spending_Power,%b\n1,2,3\n" % wide, CSV),
            (b"Age,Spending_Power,x\n1,2,%b" % wide, CSV),
        ):
            if is_taken(body, models[2], content_type=content_type):
                taken += 1
            else:
                refused += 1
    assert taken > 200
    assert refused > 2000


def test_every_escape_is_passed_over_or_left(models: list[ServedModel]) -> None:
    points = (0, 0x1F, 0x41, 0xD7FF, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xE000, 0xFFFF)
    codes = [f"u{point:04{case}}" for point in points for case in "xX"]
    codes += ["ud83d\\ude42", "ud83d\\u0041", "u00e", "u"]
    for escape in (*map(chr, range(128)), *codes):
        body = f'[{{"Age": 1, "Spending_Power": 2, "x": "a\\{escape}b"}}]'.encode()
        taken = is_taken(body, models[2], content_type=JSON)
        assert taken or escape not in {*'"\\/bfnrt', "u0041", "ud7ff", "uE000", "uffff"}
        is_taken(
            f'[{{"Age": 1, "x\\{escape}": 3, "Spending_Power": 2}}]'.encode(), models[2], content_type=JSON
        )


def test_control_characters_are_not_passed_over(models: list[ServedModel]) -> None:
    for code in range(128):
        character = bytes([code])
        is_taken(b'[{"Age": 1, "Spending_Power": 2, "x": "%b"}]' % character, models[2], content_type=JSON)
        for body in (b"x,Age,Spending_Power\na%b,1,2\n", b"x,Age,Spending_Power\n,1,2%b\n"):
            is_taken(body % character, models[2], content_type=CSV)
            is_taken(b"Age,x%b,Spending_Power\n1,2,3\n" % character, models[2], content_type=CSV)


HEADERS = [
    "Age,Spending_Power",
    "Age,Income,Purchases",
    "Purchases,Age,Income",
    "Customer_ID,Gender,Age,Income,Purchases",
    "age , spending power",
    '"Age","Income","Purchases"',
    "Age,Income,Purchases,Spending_Power",
    "AGE,SPENDING-POWER,",
    "Größe,Age,Spending_Power",
    "\tAge,Spending_Power",
    "Age,Spending_Power,x,y,z",
    "Age,,Income,x,Purchases",
]
ODD_HEADERS = [
    *("Age", "Age,Income", "Age,Age,Spending_Power", "Age;Income;Purchases", 'A"ge,Income,Purchases', "x,y"),
    *("", " ", "Age,Spending_Power\rAge,Spending_Power", '"Age,Spending_Power', "Age,\x00,Spending_Power"),
]
CELLS = ("", "Ada", "Größe 🙂", " x ", "7", "-1", "1.5e9", "a b\tc", "'")
QUOTED_CELLS = ('"a"', 'a"b', '"a,b"', '"a', 'a"', '"', '""')
ODD_CELLS = (*QUOTED_CELLS, "\r", "\x0b", "\x00", "1,2", "NaN", "-1", "1e999", " ", ".5", "5.", "+5", "007")


def write_table(
    header: str, n: int, chance: random.Random, *, odd: bool = False, ending: str | None = None
) -> bytes:
    columns = header.split(",")
    is_number = ["".join(filter(str.isalpha, name)).casefold() for name in columns]
    rows = [
        [
            f"{chance.choice(['', ' ', chr(9)])}{chance.choice(PLAIN)}{chance.choice(['', ' '])}"
            if name in {"age", "income", "purchases", "spendingpower"}
            else chance.choice(CELLS)
            for name in is_number
        ]
        for _ in range(n)
    ]
    if odd:
        row = chance.choice(rows)
        match chance.randrange(4):
            case 0:
                row.append("7")
            case 1:
                del row[-1]
            case _:
                row[chance.randrange(len(row))] = chance.choice(ODD_CELLS)
    ends = ending or chance.choice(["\n", "\r\n"])
    text = ends.join([header, *(",".join(row) for row in rows)])
    return (text + chance.choice(["", ends, ends + " " + ends])).encode()


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("n", [1, 2, 256, 257, 4097])
def test_rows_below_a_header_are_answered_alike(models: list[ServedModel], header: str, n: int) -> None:
    chance = random.Random(n)
    for accept in ACCEPTED:
        for content_type in (CSV, ""):
            body = write_table(header, n, chance)
            assert is_taken(body, chance.choice(models), content_type=content_type, accept=accept)
    assert is_taken(b"\xef\xbb\xbf" + write_table(header, n, chance), models[2], content_type=CSV)


@pytest.mark.parametrize("header", [*HEADERS, *ODD_HEADERS])
def test_rows_with_anything_odd_are_answered_alike(models: list[ServedModel], header: str) -> None:
    chance = random.Random(header)
    for _ in range(150):
        is_taken(write_table(header, chance.choice([1, 3]), chance, odd=True), models[2], content_type=CSV)
    for ending in ("\n", "\r\n", "\r", "\n\n", "\r\r\n"):
        is_taken(write_table(header, 3, chance, ending=ending), models[2], content_type=CSV)
    for form in ("{0}", "{0}\n", "\n{0}\n1,2\n", "{0}\n\n1,2,3\n", "\ufeff\ufeff{0}\n1,2\n"):
        is_taken(form.format(header).encode(), models[2], content_type=CSV)


def test_mutants_of_tables_are_answered_alike(models: list[ServedModel]) -> None:
    chance = random.Random("tables")
    taken = 0
    for _ in range(6000):
        body = mutate(write_table(chance.choice(HEADERS), chance.choice([1, 3]), chance), chance)
        taken += is_taken(body, chance.choice(models), content_type=CSV)

    assert 1000 < taken < 5000


def test_a_cell_that_is_too_long_for_python_s_reader_is_left_to_it(models: list[ServedModel]) -> None:
    for length in (131_071, 131_072, 131_073):
        taken = is_taken(b"x,Age,Spending_Power\n%b,1,2\n" % (b"x" * length), models[2], content_type=CSV)
        assert taken == (length <= 131_072)
        is_taken(b"Age,Spending_Power\n1,%b2\n" % (b" " * length), models[2], content_type=CSV)
        is_taken(b"Age,%b,Spending_Power\n1,2,3\n" % (b"x" * length), models[2], content_type=CSV)


def test_many_columns_are_read(models: list[ServedModel]) -> None:
    names = [f"c{place}" for place in range(700)]
    names[3], names[600] = "Age", "Spending_Power"
    cells = ["7"] * 700
    body = "\n".join([",".join(names), *[",".join(cells)] * 300]).encode()

    assert is_taken(body, models[2], content_type=CSV)


TEXTS = st.text(alphabet='{}[]",:0159.eE- \t\r\n\\', max_size=40) | st.lists(
    st.sampled_from(
        [*'{}[],:"', '"Age"', '"Spending_Power"', '"features"', '"x"', "1", "2.5", " ", "\n", "null"]
    ),
    max_size=24,
).map("".join)


@given(text=TEXTS)
def test_any_text_of_objects_is_answered_alike(models: list[ServedModel], text: str) -> None:
    for content_type in (JSON, JSON_LINES):
        is_taken(text.encode(), models[2], content_type=content_type)
        is_taken(f'[{{"Age": 1, {text}}}]'.encode(), models[2], content_type=content_type)
        is_taken(f'{{"Age": 1, "Spending_Power": {text}}}'.encode(), models[2], content_type=content_type)


@given(text=st.text(alphabet='Age,Spending_Power\n\r\t "15.', max_size=40), body=st.binary(max_size=30))
def test_any_rows_are_answered_alike(models: list[ServedModel], text: str, body: bytes) -> None:
    is_taken(text.encode(), models[2], content_type=CSV)
    is_taken(f"Age,Spending_Power{text}".encode(), models[2], content_type=CSV)
    is_taken(b"Age,Spending_Power,x\n1,2," + body, models[2], content_type=CSV)


def test_what_is_taken_is_read_as_json_reads_it(models: list[ServedModel]) -> None:
    """An oracle of its own: both ways could share a mistake."""
    chance = random.Random(4)
    served = models[2]
    assert served.kernel is not None
    for _ in range(500):
        text = write_object(plain_fields(chance), chance)
        found = json.loads(text)
        if "features" in found:
            age, power = found["features"]
        else:
            age = found["Age"]
            power = found.get("Spending_Power", found.get("Income", 0) / max(found.get("Purchases", 0), 1))
        label = served.model.ids[served.model.partition.assign_one(float(age), float(power))]
        body = json.dumps([[age, power]]).encode()

        assert is_taken(f"[{text}]".encode(), served, content_type=JSON)
        assert is_taken(body, served, content_type=JSON)
        assert json.loads(ask(served, f"[{text}]".encode()).body) == [label]
