// Package tenancy says what a tenant is and names what tenants own.
//
// A tenant is who is isolated and billed; it owns lattices. The pair (tenant,
// lattice) keys everything in memory, in subjects and in stored records, so
// that two tenants with a lattice of the same name never meet. Every name that
// comes from outside passes one of the Parse functions before it touches a
// subject, a filter, a key, a log line or a metric.
//
// The package is pure: it knows no NATS, no clock and no logger.
package tenancy

import (
	"errors"
	"fmt"
	"strings"
)

// Tenant names who is isolated and billed. In single-tenant mode there is one,
// [DefaultTenant], and its subjects carry no prefix.
type Tenant string

// DefaultTenant is the only tenant of single-tenant mode.
const DefaultTenant Tenant = "default"

// Lattice names one isolated set of hosts. It is unique within its tenant only.
type Lattice string

// LatticeKey is the full name of a lattice.
type LatticeKey struct {
	Tenant  Tenant
	Lattice Lattice
}

// String gives the form used in logs and traces: "tenant/lattice".
func (k LatticeKey) String() string { return string(k.Tenant) + "/" + string(k.Lattice) }

// Token gives the form used in subjects and keys: "tenant.lattice". Neither
// part can hold a dot, so the form is unambiguous.
func (k LatticeKey) Token() string { return string(k.Tenant) + "." + string(k.Lattice) }

// ParseToken reads what [LatticeKey.Token] wrote.
func ParseToken(s string) (LatticeKey, error) {
	t, l, ok := strings.Cut(s, ".")
	if !ok {
		return LatticeKey{}, fmt.Errorf("lattice key %q: %w", clip(s), ErrBadName)
	}
	tenant, err := ParseTenant(t)
	if err != nil {
		return LatticeKey{}, err
	}
	lattice, err := ParseLattice(l)
	if err != nil {
		return LatticeKey{}, err
	}
	return LatticeKey{Tenant: tenant, Lattice: lattice}, nil
}

// ErrBadName is wrapped by every error that refuses a name.
var ErrBadName = errors.New("name not allowed")

// Longest names, in bytes.
const (
	maxTenant  = 64
	maxLattice = 128
	maxApp     = 128
)

// ParseTenant checks the grammar [A-Za-z0-9_-]{1,64}.
func ParseTenant(s string) (Tenant, error) {
	if len(s) == 0 || len(s) > maxTenant || !isToken(s) {
		return "", fmt.Errorf("tenant %q: %w: 1 to %d ASCII letters, digits, '-', '_'", clip(s), ErrBadName, maxTenant)
	}
	return Tenant(s), nil
}

// ParseLattice checks the grammar [A-Za-z0-9][A-Za-z0-9_-]{0,127}.
func ParseLattice(s string) (Lattice, error) {
	if len(s) == 0 || len(s) > maxLattice || !isToken(s) || s[0] == '-' || s[0] == '_' {
		return "", fmt.Errorf("lattice %q: %w: 1 to %d ASCII letters, digits, '-', '_', the first a letter or digit", clip(s), ErrBadName, maxLattice)
	}
	return Lattice(s), nil
}

// ParseApp checks the grammar of an application name as it may stand in a
// subject or key: [A-Za-z0-9_-]{1,128}.
func ParseApp(s string) (string, error) {
	if len(s) == 0 || len(s) > maxApp || !isToken(s) {
		return "", fmt.Errorf("application %q: %w: 1 to %d ASCII letters, digits, '-', '_'", clip(s), ErrBadName, maxApp)
	}
	return s, nil
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// clip bounds what a hostile name can put into an error or a log line.
func clip(s string) string {
	const most = 160
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
