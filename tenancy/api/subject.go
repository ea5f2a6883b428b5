package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"wadm/tenancy"
)

// operation is what a request asks for.
type operation string

const (
	opPut        operation = "put"
	opGet        operation = "get"
	opList       operation = "list" // wrapped
	opListBare   operation = "list-bare"
	opVersions   operation = "versions"
	opDeploy     operation = "deploy"
	opUndeploy   operation = "undeploy"
	opDelete     operation = "del"
	opStatus     operation = "status"
	opHistory    operation = "history"
	opExplain    operation = "explain"
	opUnreadable operation = "unreadable"
)

// word is the operation's token in subjects.
func (o operation) word() string {
	switch o {
	case opList:
		return "get"
	case opListBare:
		return "list"
	default:
		return string(o)
	}
}

// target is a parsed request subject. Its names are as received: they must pass
// key or tenancy.ParseApp before they reach a subject or a key.
type target struct {
	tenant  string
	lattice string
	op      operation
	app     string
}

// key is the checked name of the lattice.
func (t target) key() (tenancy.LatticeKey, error) {
	tenant, err := tenancy.ParseTenant(t.tenant)
	if err != nil {
		return tenancy.LatticeKey{}, err
	}
	lattice, err := tenancy.ParseLattice(t.lattice)
	if err != nil {
		return tenancy.LatticeKey{}, err
	}
	return tenancy.LatticeKey{Tenant: tenant, Lattice: lattice}, nil
}

const extraTokens = "Found extra components of subject, ensure your manifest name consists of only alphanumeric characters, dashes, and underscores."

// parseSubject reads a request subject. The error's text is the reply.
func parseSubject(subject, prefix string, multi bool) (target, error) {
	t := target{tenant: string(tenancy.DefaultTenant), op: opUnreadable}
	rest := subject
	if multi {
		account, after, ok := strings.Cut(rest, ".")
		if !ok {
			return t, errors.New("Invalid subject: Expected to find account ID in multitenant subject") //nolint:staticcheck // the wire's sentence
		}
		t.tenant, rest = account, after
	}
	for strings.HasPrefix(rest, prefix) {
		rest = rest[len(prefix):]
	}
	rest = strings.TrimLeft(rest, ".")
	tokens := strings.Split(rest, ".")
	if rest == "" {
		return t, invalidSubject("Expected to find lattice ID")
	}
	t.lattice = tokens[0]
	switch {
	case len(tokens) < 2:
		return t, invalidSubject("Expected to find API category")
	case len(tokens) < 3:
		return t, invalidSubject("Expected to find operation")
	case len(tokens) > 4:
		return t, invalidSubject(extraTokens)
	}
	named := len(tokens) == 4
	if named {
		t.app = tokens[3]
	}
	op := opUnreadable
	if tokens[1] == "model" {
		switch tokens[2] {
		case "put":
			op = onlyIf(!named, opPut)
		case "get":
			op = opList
			if named {
				op = opGet
			}
		case "list":
			op = onlyIf(!named, opListBare)
		case "versions", "deploy", "undeploy", "del", "status", "history", "explain":
			op = onlyIf(named, operation(tokens[2]))
		}
	}
	if op == opUnreadable {
		return t, fmt.Errorf("Unsupported subject: %s", subject) //nolint:staticcheck // the wire's sentence
	}
	t.op = op
	return t, nil
}

func onlyIf(ok bool, op operation) operation {
	if ok {
		return op
	}
	return opUnreadable
}

func invalidSubject(what string) error {
	return fmt.Errorf("Invalid subject: %s", what) //nolint:staticcheck // the wire's sentence
}

// IsInbox tells whether an answer may go to a reply subject: one that begins as the
// inboxes of clients do, as NATS makes them between accounts, or with the words of one
// of the prefixes. An answer to any other would let the caller publish in our name.
func IsInbox(reply string, prefixes ...string) bool {
	return strings.HasPrefix(reply, "_INBOX") || strings.HasPrefix(reply, "_R_") ||
		slices.ContainsFunc(prefixes, func(p string) bool { return p != "" && strings.HasPrefix(reply, p+".") })
}

// storable tells whether other servers could hold a record under that name. Where
// they could, an unknown name is "not found"; where they could not, it is a
// storage error.
func storable(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '=', c == '/':
		default:
			return false
		}
	}
	return name != ""
}
