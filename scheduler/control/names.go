package control

import (
	"fmt"
	"strings"

	"wadm/tenancy"
)

// maxName bounds the ids that go into a subject, in bytes.
const maxName = 256

// isToken reports whether s is safe as one token of a subject. It is narrower
// than NATS asks for: hosts name themselves and their configurations with these
// characters only.
func isToken(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}

// isSubject reports whether s is a dotted row of tokens.
func isSubject(s string) bool {
	for token := range strings.SplitSeq(s, ".") {
		if !isToken(token) {
			return false
		}
	}
	return true
}

// token checks an id that becomes a token of a subject. A dot would address
// something else, a wildcard would be refused by the server much later.
func token(what, s string) error {
	if !isToken(s) {
		return fmt.Errorf("%s %q: %w: 1 to %d ASCII letters, digits, '-', '_', '/', '='", what, clip(s), tenancy.ErrBadName, maxName)
	}
	return nil
}

func clip(s string) string {
	const most = 160
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
