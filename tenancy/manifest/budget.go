package manifest

import (
	"errors"
	"fmt"
)

// ErrBudget is wrapped by every error that says a manifest is too large or too
// deep to be read. Nothing of such a manifest has been decoded.
var ErrBudget = errors.New("manifest over budget")

// Budget bounds what reading one manifest may cost. A zero field takes its
// default; a parse cannot be cancelled half-way, so these limits, not a
// deadline, are what protects the service.
type Budget struct {
	// Bytes is the longest body; default 1 MiB. It also bounds the text that
	// remains when all aliases are expanded.
	Bytes int
	// Nodes is the most values and keys as written; default 50,000.
	Nodes int
	// Depth is the deepest nesting, aliases expanded; default 64.
	Depth int
	// Keys is the most keys of one map; default 1,000.
	Keys int
	// Aliases is the most YAML aliases; default 1,000.
	Aliases int
	// Expanded is the most values and keys after expanding aliases; default 100,000.
	Expanded int
	// Scalar is the longest single value or key in bytes; default 64 KiB.
	Scalar int
}

// WithDefaults gives b with its zero fields filled in.
func (b Budget) WithDefaults() Budget {
	fill := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	fill(&b.Bytes, 1<<20)
	fill(&b.Nodes, 50_000)
	fill(&b.Depth, 64)
	fill(&b.Keys, 1_000)
	fill(&b.Aliases, 1_000)
	fill(&b.Expanded, 100_000)
	fill(&b.Scalar, 64<<10)
	return b
}

// storedBudget is for records that were within the default budget when they
// were put: the canonical form writes aliases out, escapes text and adds keys.
func storedBudget() Budget {
	return Budget{Bytes: 16 << 20, Nodes: 400_000, Depth: 80}.WithDefaults()
}

// over says which limit was passed.
func over(format string, args ...any) *fault {
	return &fault{text: fmt.Sprintf(format, args...), budget: true}
}

func (b Budget) checkBytes(n int) *fault {
	if n > b.Bytes {
		return over("manifest has %d bytes, at most %d are allowed", n, b.Bytes)
	}
	return nil
}

func (b Budget) checkNodes(n int) *fault {
	if n > b.Nodes {
		return over("manifest has more than %d values", b.Nodes)
	}
	return nil
}

func (b Budget) checkDepth(n int) *fault {
	if n > b.Depth {
		return over("manifest is nested deeper than %d levels", b.Depth)
	}
	return nil
}

func (b Budget) checkKeys(n int) *fault {
	if n > b.Keys {
		return over("a map of the manifest has more than %d keys", b.Keys)
	}
	return nil
}

func (b Budget) checkScalar(n int) *fault {
	if n > b.Scalar {
		return over("a value of the manifest has more than %d bytes", b.Scalar)
	}
	return nil
}
