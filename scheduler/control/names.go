package control

import (
	"fmt"
	"strings"

	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// maxName bounds the ids that go into a subject, in bytes.
const maxName = 256

// isToken reports whether s is safe as one token of a subject. It is narrower
// than NATS asks for: configurations are named with these characters only.
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

// checkConfig checks a name that becomes a token of a subject. A dot would address
// something else, a wildcard would be refused by the server much later.
func checkConfig(name string) error {
	if !isToken(name) {
		return fmt.Errorf("configuration %q: %w: 1 to %d ASCII letters, digits, '-', '_', '/', '='", clip(name), tenancy.ErrBadName, maxName)
	}
	return nil
}

// checkHost is checkConfig for the id of a host, by the grammar of all that is
// observed: a host that joins can be asked.
func checkHost(id lattice.HostID) error {
	if !id.Valid() {
		return fmt.Errorf("host %q: %w: 1 to %d printable ASCII characters without space, '.', '*', '>'", clip(string(id)), tenancy.ErrBadName, lattice.MaxHostID)
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
