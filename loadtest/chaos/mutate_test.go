//go:build chaos

package chaos_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wadm/loadtest/chaos"
)

// edit changes one file of the server: the text old, which must be there exactly
// once, becomes new.
type edit struct{ file, old, new string }

// mutant builds a server with edits, without touching a file of the source: the
// compiler reads the changed files in place of the real ones.
func mutant(t *testing.T, edits ...edit) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(root, e.file)
		from := path
		if changed, ok := replace[path]; ok {
			from = changed
		}
		src, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(src), e.old); n != 1 {
			t.Fatalf("%s has %d times what the mutation changes; it must follow the code:\n%s", e.file, n, e.old)
		}
		to := filepath.Join(dir, strings.ReplaceAll(e.file, "/", "_"))
		if err := os.WriteFile(to, []byte(strings.Replace(string(src), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = to
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "wadm")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", path, "wadm/cmd/wadm").CombinedOutput(); err != nil {
		t.Fatalf("build mutant: %v\n%s", err, out)
	}
	return path
}

// The mutations: each takes one piece of the protocol away.
var mutations = []struct {
	name  string
	edits []edit
	// by is the invariant that must be found broken.
	by string
	// kinds are the faults meanwhile; crashes and orderly stops unless given.
	kinds []chaos.Kind
	// schedule, when not nil, is carried out instead of one drawn from the kinds.
	schedule chaos.Schedule
	// heartbeat of the hosts; the default of runs unless given.
	heartbeat time.Duration
}{
	{
		name: "the fence is dropped",
		edits: []edit{{"scheduler/natsjs/ledger.go", `			jetstream.ExpectedLastSubjSeqHeader:     {strconv.FormatUint(c.Epoch, 10)},
			jetstream.ExpectedLastSubjSeqSubjHeader: {claimSubject + key},
`, ""}},
		by: "I1: ",
	},
	{
		name: "an event is acknowledged before its commands are stored",
		edits: []edit{{"scheduler/worker.go", `	if err := w.carryOut(ctx, dec, c); err != nil {
		return err
	}
	d.Ack()
`, `	d.Ack()
	if err := w.carryOut(ctx, dec, c); err != nil {
		return err
	}
`}},
		by: "I5: ",
	},
	{
		name: "who owns is decided by a read",
		edits: []edit{{"shard/natskv/claims.go", `	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expect, 10))
`, `	if h, err := s.Last(ctx, k); err != nil || h.Seq != expect {
		return 0, fmt.Errorf("put claim %s: %w", k, shard.ErrFenced)
	}
	_ = strconv.Itoa
`}},
		by: "I1: ",
	},
	{
		name: "a claim has no condition",
		edits: []edit{{"shard/natskv/claims.go", `	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expect, 10))
`, `	_ = strconv.Itoa
`}},
		by: "I1: ",
	},
	{
		name: "commands are sent that were not stored",
		edits: []edit{{"scheduler/effects.go", `	err := w.s.deps.Ledger.Append(t.ctx, w.claim, cmds)
`, `	var err error
`}},
		by: "I2: ",
		// What the checker cannot see while NATS is away must not excuse it.
		kinds: []chaos.Kind{chaos.NATSRestart},
	},
	{
		name: "only the first command of a decision is stored",
		edits: []edit{{"scheduler/effects.go", `	err := w.s.deps.Ledger.Append(t.ctx, w.claim, cmds)
`, `	err := w.s.deps.Ledger.Append(t.ctx, w.claim, cmds[:1])
`}},
		by: "I2: ",
	},
	{
		name: "a command is sent twice",
		edits: []edit{{"scheduler/effects.go", `	r := w.s.deps.Hosts.Send(sctx, claim, cmd)
`, `	w.s.deps.Hosts.Send(sctx, claim, cmd)
	r := w.s.deps.Hosts.Send(sctx, claim, cmd)
`}},
		by: "I2: ",
	},
	{
		name: "an event in twenty is lost",
		edits: []edit{{"scheduler/worker.go", `	dec := w.state.Event(d.Data, now)
`, `	if w.s.Stats.Events.Load()%20 == 0 {
		d.Ack()
		return nil
	}
	dec := w.state.Event(d.Data, now)
`}},
		by: "I3: ",
		// Nothing else is wrong, so nothing else can be the reason.
		schedule:  chaos.Schedule{},
		heartbeat: 30 * time.Second,
	},
	{
		// In a fleet that makes more of it than it has to: the same, but for the
		// mutation, does no harm.
		name:     "the quarantine is removed",
		edits:    []edit{slow("300*time.Millisecond"), patient, {"shard/executor.go", "EffectsAfter: a.EffectsAfter, ", ""}},
		by:       "I2: ",
		schedule: midway(withinPatience),
	},
}

// TestEveryMutationIsFoundOut takes pieces of the protocol away and expects the
// checkers to notice.
func TestEveryMutationIsFoundOut(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			cfg := config(t)
			cfg.Binary = mutant(t, m.edits...)
			cfg.Seed, cfg.Churning, cfg.Schedule, cfg.Heartbeat = 1, -1, m.schedule, m.heartbeat
			cfg.Duration, cfg.Pause, cfg.Longest = 3*time.Second, time.Second, 2*time.Second
			if cfg.Kinds = m.kinds; cfg.Kinds == nil {
				cfg.Kinds = []chaos.Kind{chaos.Kill, chaos.Drain}
			}
			// What is found is found by then; coming to rest is not waited for.
			cfg.Coverage, cfg.Settle, cfg.Quiet = 3*time.Second, time.Millisecond, time.Millisecond
			rep := run(t, cfg)
			for _, v := range rep.Violations {
				if strings.HasPrefix(v, m.by) {
					t.Logf("found out: %s", v)
					return
				}
			}
			t.Errorf("not found out; what was found: %s", rep.Failure())
		})
	}
}
