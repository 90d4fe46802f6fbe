"""Finds what can be changed in a C source: each change is one mutant.

    mutants.find(text) → [Mutant]

Only code in the bodies of functions, and numbers of tables and enumerations, are changed: neither comments, strings,
preprocessor lines nor assertions. The sources are formatted by clang-format, which the rules rely on: a binary operator
has a space on each side.
"""
import re
from typing import NamedTuple


class Token(NamedTuple):
    text: str
    start: int
    end: int


class Mutant(NamedTuple):
    start: int     # what is replaced, as offsets in the text
    end: int
    after: str     # by what
    kind: str


TOKEN = re.compile(r'''
    (?P<skip>//[^\n]*|/\*.*?\*/|\s+|^[ ]*\#(?:\\\n|[^\n])*)
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<char>'(?:\\.|[^'\\\n])+')
  | (?P<number>\d[\w.]*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
''', re.S | re.M | re.X)

SWAPS = {
    "<": ("<=", "boundary"), "<=": ("<", "boundary"), ">": (">=", "boundary"), ">=": (">", "boundary"),
    "==": ("!=", "operator"), "!=": ("==", "operator"), "&&": ("||", "operator"), "||": ("&&", "operator"),
    "+": ("-", "operator"), "-": ("+", "operator"), "*": ("/", "operator"), "/": ("*", "operator"),
    "%": ("/", "operator"), "<<": (">>", "operator"), ">>": ("<<", "operator"), "&": ("|", "operator"),
    "|": ("&", "operator"), "+=": ("-=", "operator"), "-=": ("+=", "operator"), "|=": ("&=", "operator"),
    "&=": ("|=", "operator"), "*=": ("/=", "operator"),
}
KEYWORDS = {"return", "if", "else", "while", "for", "do", "switch", "case", "default", "break", "continue", "goto",
            "sizeof", "static", "const", "struct", "enum", "union", "typedef", "extern", "unsigned"}
# What only helps a debugger or a reader, so that a test cannot notice it.
UNNOTICEABLE = {"assert", "static_assert", "_Static_assert", "abort"}
# A statement with one of these does something.
EFFECTS = {"(", "=", "++", "--", "+=", "-=", "*=", "/=", "|=", "&="}
INTEGERS = re.compile(r"\b(u?int\d*_t|size_t|ssize_t|ptrdiff_t|int|unsigned|long|timestamp_ns)\s*$")
FUNCTION = re.compile(r"^(?:static )?(?:inline )?((?:[A-Za-z_]\w*[ *]+)+)(\w+)\([^;{}]*\)[^;{}]*\n\{", re.M)


def tokens_of(text):
    found = []
    for match in TOKEN.finditer(text):
        if match.lastgroup != "skip":
            found.append(Token(match.group(), match.start(), match.end()))
    return found


def closing(tokens, at):
    """The index of the bracket that closes the one at `at`."""
    depth = 0
    for index in range(at, len(tokens)):
        depth += tokens[index].text in "([{"
        depth -= tokens[index].text in ")]}"
        if depth == 0:
            return index
    return len(tokens) - 1


def end_of_statement(tokens, at):
    depth = 0
    for index in range(at, len(tokens)):
        if tokens[index].text in "([{":
            depth += 1
        elif tokens[index].text in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif tokens[index].text == ";" and depth == 0:
            return index
    return None


def is_word(token):
    return re.match(r"[A-Za-z_]", token.text) is not None


def is_binary(text, token):
    return text[token.start - 1] == " " and text[token.end:token.end + 1] in (" ", "\n")


def other_number(word):
    """One more. Hexadecimal digits, characters and fractions stay."""
    match = re.fullmatch(r"(\d+)([uUlL]*)", word)
    return f"{int(match[1]) + 1}{match[2]}" if match and (word == "0" or not word.startswith("0")) else None


def is_declaration(tokens, at):
    """`word word`, `word *word`: a declaration, whose removal would not compile."""
    following = [token.text for token in tokens[at + 1:at + 3]]
    if tokens[at].text in KEYWORDS:
        return True
    return is_word(tokens[at]) and len(following) == 2 and (
        re.match(r"[A-Za-z_]", following[0]) is not None or
        (following[0] == "*" and tokens[at + 1].end == tokens[at + 2].start))


def return_mutants(text, tokens, at, returned):
    end = end_of_statement(tokens, at)
    if end is None or end == at + 1:
        return
    first, last = tokens[at + 1], tokens[end - 1]
    value = text[first.start:last.end]
    if returned == "bool":
        other = {"true": "false", "false": "true"}.get(value, f"!({value})")
    elif INTEGERS.search(returned):
        other = f"({value}) + 1"
    elif returned.endswith("*") and value != "NULL":
        other = "NULL"
    else:
        return
    yield Mutant(first.start, last.end, other, "return")


def statement_mutants(text, tokens, at):
    """A statement that does something, as a whole: removed."""
    before = tokens[at - 1].text if at else ""
    token = tokens[at]
    if before not in (";", "{", "}", ")", "else", ":") or not (is_word(token) or token.text in ("*", "++", "--", "(")):
        return
    if token.text in ("break", "continue"):
        yield Mutant(token.start, token.end, "", "removed")
        return
    if is_declaration(tokens, at) or token.text in UNNOTICEABLE:
        return
    end = end_of_statement(tokens, at)
    words = [one.text for one in tokens[at:end]]
    # A cast or a condition before it: `)` closed something else than if, for or while.
    if end is None or "{" in words or (words[:2] == ["(", "void"] and "(" not in words[3:]):
        return
    if before == ")" and not text[tokens[at - 1].end:token.start].startswith("\n"):
        return
    if EFFECTS & set(words):
        yield Mutant(token.start, tokens[end - 1].end, "", "removed")


def token_mutants(text, tokens, at):
    token = tokens[at]
    if token.text in SWAPS and is_binary(text, token):
        after, kind = SWAPS[token.text]
        yield Mutant(token.start, token.end, after, kind)
    elif token.text in ("++", "--"):
        yield Mutant(token.start, token.end, {"++": "--", "--": "++"}[token.text], "operator")
    elif token.text[0].isdigit():
        is_size = tokens[at - 1].text == "[" and is_word(tokens[at - 2]) and is_word(tokens[at - 3])
        after = other_number(token.text)
        if after and not is_size:
            yield Mutant(token.start, token.end, after, "constant")
    elif token.text in ("true", "false") and tokens[at - 1].text != "return":
        yield Mutant(token.start, token.end, {"true": "false", "false": "true"}[token.text], "constant")
    elif token.text in ("if", "while") and tokens[at + 1].text == "(":
        end = closing(tokens, at + 1)
        condition = text[tokens[at + 1].end:tokens[end].start]
        yield Mutant(tokens[at + 1].end, tokens[end].start, f"!({condition})", "negated")


def find(text):
    """All mutants of a source, in the order of their places."""
    tokens = tokens_of(text)
    bodies = {match.end() - 1: match.group(1).strip() for match in FUNCTION.finditer(text)}
    found, at, returned, body_end = [], 0, None, -1
    while at < len(tokens):
        token = tokens[at]
        if token.start in bodies:
            returned, body_end = re.sub(r"\bstatic |\binline |\bconst ", "", bodies[token.start]), closing(tokens, at)
        if at > body_end:
            returned = None
        if token.text in UNNOTICEABLE and at + 1 < len(tokens) and tokens[at + 1].text == "(":
            at = closing(tokens, at + 1) + 1
            continue
        if returned is not None:
            if token.text == "return":
                found += return_mutants(text, tokens, at, returned)
            found += statement_mutants(text, tokens, at)
            found += token_mutants(text, tokens, at)
        elif token.text[0].isdigit() and tokens[at - 1].text not in ("[", "("):
            found += token_mutants(text, tokens, at)
        at += 1
    return found
