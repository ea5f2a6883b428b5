// Package archtest_test checks which package may know which. Every rule
// carries its reason, and a violation shows both. To change the architecture,
// change the rule in the same commit and write an ADR.
package archtest_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// The packages of this module are written without its name: "scheduler/core".
// A pattern is a path, or a path with "/..." for it and everything below.

// pure packages are arithmetic on values: the same input gives the same output.
var pure = []string{"tenancy", "tenancy/manifest", "scheduler/lattice", "scheduler/core", "shard/ring"}

// adapters translate between a package and NATS.
var adapters = []string{"tenancy/catalog", "tenancy/api", "shard/natskv", "scheduler/natsjs", "scheduler/control"}

const (
	natsClient = "github.com/nats-io/nats.go/..."
	natsServer = "github.com/nats-io/nats-server/v2/..."
)

// rule forbids imports. Files of tests are exempt unless tests is set.
type rule struct {
	name   string
	reason string
	// in says which packages the rule is about; except takes some out.
	in, except []string
	// forbid says what they may not import; allow takes some out.
	forbid, allow []string
	// known are exceptions, "package path", with their reasons.
	known map[string]string
	tests bool
}

var rules = []rule{
	{
		name:   "pure packages do no input or output",
		reason: "decisions must be replayable: time, randomness and input are arguments, effects are results",
		in:     pure,
		forbid: []string{"github.com/nats-io/...", "context", "log/...", "net/...", "os/...", "syscall", "io/fs", "math/rand/...", "crypto/rand",
			"go.opentelemetry.io/...", "github.com/prometheus/...", "wadm/config/...", "wadm/telemetry/..."},
	},
	{
		name:   "nats.go stays in adapters",
		reason: "the logic is tested without NATS, and failures of NATS are injected at the ports",
		in:     []string{"..."},
		except: slices.Concat(adapters, []string{"config/natsconn/...", "cmd/...", "loadtest/..."}),
		forbid: []string{natsClient, "github.com/synadia-io/..."},
	},
	{
		name:   "only config/natsconn runs a NATS server",
		reason: "servers are started one way, and production code that needs one asks natsconn/embedded",
		in:     []string{"..."},
		except: []string{"config/natsconn/..."},
		forbid: []string{natsServer},
	},
	{
		name:   "config and telemetry are the ground floor",
		reason: "what everybody imports must import nobody, or there are cycles of meaning if not of imports",
		in:     []string{"config/...", "telemetry/..."},
		forbid: []string{"wadm/..."}, allow: []string{"wadm/config/...", "wadm/telemetry/..."},
	},
	{
		name:   "config and telemetry do not know each other",
		reason: "cmd maps one to the other, so each can be used and tested alone",
		in:     []string{"config/..."},
		forbid: []string{"wadm/telemetry/..."},
	},
	{
		name:   "config and telemetry do not know each other (telemetry)",
		reason: "cmd maps one to the other, so each can be used and tested alone",
		in:     []string{"telemetry/..."},
		forbid: []string{"wadm/config/..."},
		tests:  true,
	},
	{
		name:   "tenancy knows neither shard nor scheduler",
		reason: "what tenants want does not depend on who acts for them",
		in:     []string{"tenancy/..."},
		forbid: []string{"wadm/shard/...", "wadm/scheduler/...", "wadm/loadtest/...", "wadm/cmd/..."},
	},
	{
		name:   "shard knows keys, not wasmCloud",
		reason: "ownership is proved for any key; a lattice is only one use",
		in:     []string{"shard/..."},
		forbid: []string{"wadm/tenancy/...", "wadm/scheduler/...", "wadm/loadtest/...", "wadm/cmd/..."},
	},
	{
		name:   "the scheduler knows nothing above it",
		reason: "floors point down: cmd, loadtest, scheduler, tenancy and shard, config and telemetry",
		in:     []string{"scheduler/..."},
		forbid: []string{"wadm/loadtest/...", "wadm/cmd/..."},
	},
	{
		name:   "nobody imports a command",
		reason: "commands tie packages together and are no library",
		in:     []string{"..."},
		except: []string{"cmd/..."},
		forbid: []string{"wadm/cmd/..."},
		tests:  true,
	},
	{
		name:   "adapters are known only to those who tie things together",
		reason: "a parent that imports its adapter, or an adapter that imports another, brings NATS back into the logic",
		in:     []string{"..."},
		except: []string{"cmd/...", "loadtest/..."},
		forbid: prefixed(adapters),
		known: map[string]string{
			"tenancy/api wadm/tenancy/catalog": "the API is the catalog's face: a port between them would repeat all its methods for one user",
		},
	},
	{
		name:   "placement is computed in one place",
		reason: "two versions of the ring in one fleet are two owners of one lattice",
		in:     []string{"..."},
		except: []string{"shard/ring"},
		forbid: []string{"github.com/buraksezer/..."},
	},
	{
		name:   "flags and files are read by config and commands",
		reason: "one table of options is the source of flags, variables and documents",
		in:     []string{"..."},
		except: []string{"config", "cmd/..."},
		forbid: []string{"flag", "github.com/spf13/...", "github.com/knadh/..."},
	},
	{
		name:   "the standard logger is not used",
		reason: "loggers are handed down, so that lines carry tenant, lattice and trace",
		in:     []string{"..."},
		forbid: []string{"log"},
	},
	{
		name:   "testing stays in tests",
		reason: "package testing adds flags and weight to whoever imports it",
		in:     []string{"..."},
		except: []string{"config/natsconn/natstest", "shard/shardtest"},
		forbid: []string{"testing/...", "pgregory.net/...", "github.com/google/go-cmp/..."},
	},
	{
		name:   "test packages are imported by tests",
		reason: "they take testing.T and have no place in a running server",
		in:     []string{"..."},
		except: []string{"config/natsconn/natstest", "shard/shardtest"},
		forbid: []string{"wadm/config/natsconn/natstest", "wadm/shard/shardtest"},
	},
}

func prefixed(packages []string) []string {
	var out []string
	for _, p := range packages {
		out = append(out, "wadm/"+p)
	}
	return out
}

// matches reports whether name is what one of the patterns says.
func matches(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		base, below := strings.CutSuffix(p, "...")
		base = strings.TrimSuffix(base, "/")
		return name == base || below && (base == "" || strings.HasPrefix(name, base+"/"))
	})
}

func TestImportsFollowTheRules(t *testing.T) {
	t.Parallel()
	files := parseModule(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range r.violations(files) {
				t.Errorf("%s\n\trule: %s, because %s", v, r.name, r.reason)
			}
		})
	}
}

func (r rule) violations(files []*file) []string {
	var out []string
	for _, f := range files {
		if f.test && !r.tests || !matches(f.pkg, r.in) || matches(f.pkg, r.except) {
			continue
		}
		for _, imp := range f.imports {
			// A package may always import what is its own.
			if own := "wadm/" + f.pkg; imp.path != own && matches(imp.path, r.forbid) && !matches(imp.path, r.allow) && r.known[f.pkg+" "+imp.path] == "" {
				out = append(out, fmt.Sprintf("%s: %s imports %s", imp.pos, f.pkg, imp.path))
			}
		}
	}
	return out
}

// TestRulesCatchWhatTheyForbid keeps the rules themselves honest: each must
// report an import it names.
func TestRulesCatchWhatTheyForbid(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		in := strings.TrimSuffix(strings.TrimSuffix(r.in[0], "..."), "/")
		if in == "" {
			in = "anything"
		}
		imp := strings.TrimSuffix(r.forbid[0], "/...")
		if matches(imp, r.allow) {
			imp += "/anything"
		}
		f := &file{pkg: in, imports: []imported{{path: imp, pos: "x.go:1"}}}
		if len(r.violations([]*file{f})) != 1 {
			t.Errorf("rule %q does not notice that %s imports %s", r.name, in, imp)
		}
	}
}

func TestPackagesHaveNamesThatSayWhatTheyHold(t *testing.T) {
	t.Parallel()
	banned := []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base", "shared", "lib"}
	for _, f := range parseModule(t) {
		for part := range strings.SplitSeq(f.pkg, "/") {
			if slices.Contains(banned, part) {
				t.Errorf("%s: package %s is named after nothing; name it for what it holds", f.path, f.pkg)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	docs := map[string][]string{}
	names := map[string]string{}
	for _, f := range parseModule(t) {
		if f.test {
			continue
		}
		names[f.pkg] = f.name
		if f.doc != "" {
			docs[f.pkg] = append(docs[f.pkg], f.doc)
		}
	}
	for pkg, name := range names {
		want := "Package " + name + " "
		if name == "main" {
			want = "Command " + path.Base(pkg) + " "
		}
		switch got := docs[pkg]; {
		case len(got) != 1:
			t.Errorf("package %s has %d package comments; it needs one", pkg, len(got))
		case !strings.HasPrefix(strings.ReplaceAll(got[0], "\n", " "), want):
			t.Errorf("package %s: its comment must start with %q", pkg, want)
		}
	}
}
