package shard

import (
	"fmt"
	"strings"
)

// Key names one thing that must have exactly one owner: two tokens joined by a
// dot. It can stand in subjects and in stored keys as it is.
type Key string

// maxKey is the longest key, in bytes. Subjects carry a short prefix before it.
const maxKey = 255

// ParseKey checks the grammar [A-Za-z0-9_-]+ "." [A-Za-z0-9-][A-Za-z0-9_-]*.
func ParseKey(s string) (Key, error) {
	first, second, ok := strings.Cut(s, ".")
	if !ok || len(s) > maxKey || !isToken(first) || !isToken(second) || second[0] == '_' {
		return "", fmt.Errorf("key %q: %w", clip(s), ErrBadKey)
	}
	return Key(s), nil
}

// MemberID names an instance. It should survive a restart, so that a restart
// moves nothing.
type MemberID string

// maxMember is the longest member id, in bytes.
const maxMember = 64

// ParseMemberID checks the grammar [A-Za-z0-9_-]{1,64}.
func ParseMemberID(s string) (MemberID, error) {
	if len(s) > maxMember || !isToken(s) {
		return "", fmt.Errorf("member id %q: 1 to %d ASCII letters, digits, '-', '_': %w", clip(s), maxMember, ErrBadKey)
	}
	return MemberID(s), nil
}

// Incarnation tells one life of an instance from another. It is never reused.
type Incarnation string

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// clip bounds what a hostile name can put into an error.
func clip(s string) string {
	const most = 160
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
