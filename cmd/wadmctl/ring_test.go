package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/ring"
)

func TestRingAndInstancesAreShownAndDrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	second := exec.Command(bin, "-s", w.nats.URL(), "--instance-id", "second")
	second.Stderr = &log
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- second.Wait() }()
	t.Cleanup(func() { _ = second.Process.Kill() })

	w.until("the second instance is in the view", func() bool {
		r := w.run("ring", "show")
		return r.code == 0 && strings.Contains(r.stdout, "second") && strings.Contains(r.stdout, "1 lattices") && !strings.Contains(r.stdout, "outside")
	})
	if r := w.run("instance", "list"); r.code != 0 || strings.Count(r.stdout, "active") != 2 || strings.Contains(r.stdout, " no ") {
		t.Errorf("instance list: %+v", r)
	}
	w.until("the lattice has an owner", func() bool {
		r := w.run("ring", "owner", "default")
		return r.code == 0 && strings.Contains(r.stdout, "epoch")
	})
	if r := w.run("ring", "owner"); r.code != 0 || !regexp.MustCompile(`^LATTICE +OWNER +EPOCH +SHOULD BE\ndefault +\S+ +\d+ +\S+\n$`).MatchString(r.stdout) {
		t.Errorf("owners: %+v", r)
	}
	var owners struct {
		APIVersion string
		Lattices   []struct {
			Lattice, Owner string
			Epoch          uint64
			ShouldBe       string `json:"should_be"`
		}
	}
	if r := w.run("-o", "json", "ring", "owner"); json.Unmarshal([]byte(r.stdout), &owners) != nil || owners.APIVersion != apiVersion || len(owners.Lattices) != 1 ||
		owners.Lattices[0].Lattice != "default" || owners.Lattices[0].Owner == "" || owners.Lattices[0].Epoch == 0 || owners.Lattices[0].ShouldBe == "" {
		t.Errorf("owners: %+v", r)
	}
	if r := w.run("ring", "owner", "nowhere"); r.code != exitNotFound {
		t.Errorf("owner of an unknown lattice: %+v", r)
	}
	if r := w.run("ring", "simulate", "--join", "third", "--leave", "second"); r.code != 0 || !strings.Contains(r.stdout, "of 1 lattices would move") || !strings.Contains(r.stdout, "third") {
		t.Errorf("simulate: %+v", r)
	}
	var list struct{ Instances []struct{ Instance string } }
	if r := w.run("-o", "json", "instance", "list"); json.Unmarshal([]byte(r.stdout), &list) != nil || len(list.Instances) != 2 {
		t.Fatalf("instance list: %+v", r)
	}
	first := list.Instances[0].Instance
	if first == "second" {
		first = list.Instances[1].Instance
	}
	if r := w.run("ring", "simulate", "--leave", "second", "--leave", first); r.code != 0 || !strings.HasPrefix(r.stdout, "no instance would be left: nobody would own the 1 lattices\n") {
		t.Errorf("simulate without anybody: %+v", r)
	}
	for _, c := range []struct {
		args string
		code int
	}{
		{"ring simulate", exitUsage}, {"ring simulate --leave third", exitNotFound}, {"ring simulate --join second", exitConflict},
		{"ring simulate --join a.b", exitUsage}, {"ring owner a.b", exitUsage}, {"instance drain third", exitNotFound}, {"instance drain >", exitUsage},
	} {
		if r := w.run(strings.Fields(c.args)...); r.code != c.code || r.stdout != "" {
			t.Errorf("%s: %+v, want exit code %d", c.args, r, c.code)
		}
	}

	r := w.run("-o", "json", "instance", "drain", "second", "--wait")
	var doc struct {
		APIVersion string
		Instance   string
		Ended      bool
		Last       bool
	}
	if err := json.Unmarshal([]byte(r.stdout), &doc); r.code != 0 || err != nil || doc.APIVersion != apiVersion || doc.Instance != "second" || !doc.Ended || doc.Last || strings.Contains(r.stderr, "warning") {
		t.Errorf("drain: %+v, %v", r, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the drained instance ended with %v:\n%s", err, log.String())
	}
	if r := w.run("ring", "show"); r.code != 0 || strings.Contains(r.stdout, "\nsecond") {
		t.Errorf("the view still has it: %+v", r)
	}
	w.until("the other one owns the lattice", func() bool {
		r := w.run("ring", "owner", "default")
		return strings.Contains(r.stdout, "epoch") && !strings.Contains(r.stdout, "should")
	})
	if r := w.run("instance", "drain", first, "--wait"); r.code != 0 || !strings.Contains(r.stderr, "gives up 1 lattices.\nwarning: no other instance can take them; nobody acts for them until one is started.\n") {
		t.Errorf("drain of the last one: %+v", r)
	}
	if r := w.run("ring", "show"); r.code != 0 || !regexp.MustCompile(`(?m)^`+first+` +gone `).MatchString(r.stdout) {
		t.Errorf("after the last one has left: %+v", r)
	}
}

// TestInstanceListAndRingShowAgree on how each instance fares and on what it owns,
// which is what the ledger says.
func TestInstanceListAndRingShowAgree(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	// Whoever is lost stays so: nothing expires, nobody comes.
	store, err := natskv.Open(t.Context(), s.Connect(t), natskv.Config{MemberTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	params := ring.DefaultParams()
	join := func(id string, state shard.MemberState, fingerprint string) {
		t.Helper()
		// What it says of its lattices is old.
		m := shard.Member{ID: shard.MemberID(id), Incarnation: shard.Incarnation("life-" + id), Schema: shard.Schema, Fingerprint: fingerprint, Units: 4, State: state, Held: 99}
		if _, err := store.Ports().Members.PutMember(t.Context(), m, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"lives", "left", "lost"} {
		join(id, shard.MemberActive, params.Fingerprint())
	}
	join("drains", shard.MemberDraining, params.Fingerprint())
	join("other", shard.MemberActive, "other")
	view := shard.View{Schema: shard.Schema, Params: params, Fingerprint: params.Fingerprint(), Cause: "lost lost"}
	for _, m := range []shard.ViewMember{{ID: "drains", Units: 4}, {ID: "ended", Units: 4}, {ID: "left", State: shard.MemberDraining}, {ID: "lives", Units: 4}} {
		m.Incarnation = shard.Incarnation("life-" + m.ID)
		m.State = cmp.Or(m.State, shard.MemberActive)
		view.Members = append(view.Members, m)
	}
	if _, err := store.Ports().Views.PutView(t.Context(), view, 0); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		r := call(t.Context(), t, "", nil, append([]string{"-s", s.URL()}, args...)...)
		if r.code != 0 {
			t.Fatalf("%v: %+v", args, r)
		}
		return r.stdout
	}
	w := &world{t: t}
	w.until("who does not renew its record is lost", func() bool {
		return regexp.MustCompile(`(?m)^lost .* lost  .*\nother .* lost, foreign  `).MatchString(run("instance", "list"))
	})
	for key, r := range map[shard.Key]shard.Record{
		"default.a": {Owner: "lost", State: shard.Held}, "default.b": {Owner: "lives", State: shard.Held}, "default.c": {Owner: "lives", State: shard.Released}, "default.d": {},
	} {
		if err := store.Registry().Register(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if r.Owner == "" {
			continue
		}
		r.Incarnation = shard.Incarnation("life-" + r.Owner)
		if _, err := store.Ports().Claims.Put(t.Context(), key, r, 0); err != nil {
			t.Fatal(err)
		}
	}

	type row struct {
		State string
		Owns  int
	}
	var list struct {
		Instances []struct {
			Instance, State string
			Held            int
			Seen            time.Time
		}
	}
	var show struct {
		Members []struct {
			Instance, State string
			Owned           int
		}
	}
	if err := errors.Join(json.Unmarshal([]byte(run("-o", "json", "instance", "list")), &list), json.Unmarshal([]byte(run("-o", "json", "ring", "show")), &show)); err != nil {
		t.Fatal(err)
	}
	want := map[string]row{
		"drains": {"draining", 0}, "left": {"draining", 0}, "lives": {"active", 1}, "lost": {"lost", 1}, "other": {"lost", 0},
	}
	listed := map[string]row{}
	for _, m := range list.Instances {
		listed[m.Instance] = row{m.State, m.Held}
		if m.Seen.IsZero() {
			t.Errorf("%s was never seen", m.Instance)
		}
	}
	if d := gocmp.Diff(want, listed); d != "" {
		t.Errorf("instance list (-want +got):\n%s", d)
	}
	want["ended"] = row{"gone", 0}
	shown := map[string]row{}
	for _, m := range show.Members {
		shown[m.Instance] = row{m.State, m.Owned}
	}
	if d := gocmp.Diff(want, shown); d != "" {
		t.Errorf("ring show (-want +got):\n%s", d)
	}
	owners := strings.Join(strings.Fields(run("ring", "owner")), " ")
	for _, has := range []string{"LATTICE OWNER EPOCH SHOULD BE a lost ", " b lives ", " c - - ", " d - - "} {
		if !strings.Contains(owners, has) {
			t.Errorf("%q is not in %q", has, owners)
		}
	}
}

// owning is NATS with the records of two instances that own all lattices of many.
func owning(t *testing.T, many int) *natstest.Server {
	t.Helper()
	s := natstest.Start(t)
	// Nothing expires while a test goes on.
	store, err := natskv.Open(t.Context(), s.Connect(t), natskv.Config{Storage: jetstream.MemoryStorage, MemberTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	params := ring.DefaultParams()
	view := shard.View{Schema: shard.Schema, Params: params, Fingerprint: params.Fingerprint(), Cause: "first view"}
	for i, id := range []shard.MemberID{"one", "two"} {
		m := shard.Member{ID: id, Incarnation: "life-" + shard.Incarnation(id), Schema: shard.Schema, Fingerprint: params.Fingerprint(), Units: 4, State: shard.MemberActive, Held: 70 + i}
		if _, err := store.PutMember(t.Context(), m, 0); err != nil {
			t.Fatal(err)
		}
		view.Members = append(view.Members, shard.ViewMember{ID: id, Incarnation: m.Incarnation, Units: 4, State: shard.MemberActive})
	}
	if _, err := store.PutView(t.Context(), view, 0); err != nil {
		t.Fatal(err)
	}
	var puts errgroup.Group
	puts.SetLimit(16)
	for i := range many {
		puts.Go(func() error {
			key, owner := shard.Key(fmt.Sprintf("default.l%d", i)), []shard.MemberID{"one", "two", "two"}[i%3]
			_, err := store.Put(t.Context(), key, shard.Record{Owner: owner, Incarnation: "life-" + shard.Incarnation(owner), State: shard.Held}, 0)
			return errors.Join(err, store.Registry().Register(t.Context(), key))
		})
	}
	if err := puts.Wait(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestThousandsOfLatticesAreAFewRequests: what NATS far away has to answer one after
// the other is the same with few lattices.
func TestThousandsOfLatticesAreAFewRequests(t *testing.T) {
	t.Parallel()
	const many = 3000
	s := owning(t, many)
	listener := s.Connect(t)
	requests, err := listener.SubscribeSync("$JS.API.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, stdout string }{
		{"instance list", `(?m)^one .* 1000 .*\ntwo .* 2000 `},
		{"ring show", `(?m)^one +active +4 +\d+ +1000 .*\ntwo +active +4 +\d+ +2000 `},
		{"ring owner", `(?m)^l1 +two +\d+ (.*\n)+l2999 +two +\d+ `},
	} {
		r := call(t.Context(), t, "", nil, append([]string{"-s", s.URL()}, strings.Fields(c.args)...)...)
		if r.code != 0 || r.stderr != "" || !regexp.MustCompile(c.stdout).MatchString(r.stdout) {
			t.Errorf("%s: exit code %d, %s\n%.1000s", c.args, r.code, r.stderr, r.stdout)
		}
	}
	if err := listener.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := requests.Pending(); err != nil || n == 0 || n > many/20 {
		t.Errorf("%d requests, %v", n, err)
	}
}

func TestRingShowsWhoIsRamping(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	nc := s.Connect(t)
	store, err := natskv.Open(t.Context(), nc, natskv.Config{Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	params := ring.DefaultParams()
	view := shard.View{
		Schema: shard.Schema, Params: params, Fingerprint: params.Fingerprint(), Cause: "step 3 of 4",
		Members: []shard.ViewMember{
			{ID: "grown", Incarnation: "g", Units: 6, State: shard.MemberActive},
			{ID: "joined", Incarnation: "j", Units: 4, State: shard.MemberActive},
			{ID: "leaving", Incarnation: "l", Units: 0, State: shard.MemberDraining},
			{ID: "same", Incarnation: "s", Units: 4, State: shard.MemberActive},
			{ID: "shrunk", Incarnation: "k", Units: 2, State: shard.MemberActive},
		},
		Ramp: &shard.Ramp{From: []shard.Weight{{ID: "grown", Units: 4}, {ID: "leaving", Units: 4}, {ID: "same", Units: 4}, {ID: "shrunk", Units: 4}}, Step: 3, Of: 4},
	}
	for _, m := range view.Members {
		if _, err := store.Ports().Members.PutMember(t.Context(), shard.Member{
			ID: m.ID, Incarnation: m.Incarnation, Schema: shard.Schema, Fingerprint: view.Fingerprint, Units: cmp.Or(m.Units, 4), State: m.State,
		}, 0); err != nil {
			t.Fatal(err)
		}
	}
	rev, err := store.Ports().Views.PutView(t.Context(), view, 0)
	if err != nil {
		t.Fatal(err)
	}
	show := func(args ...string) string {
		t.Helper()
		r := call(t.Context(), t, "", nil, append([]string{"-s", s.URL(), "ring", "show"}, args...)...)
		if r.code != 0 {
			t.Fatalf("%v: %+v", args, r)
		}
		return r.stdout
	}
	var doc struct {
		Members []struct {
			Instance string
			Units    int
			Ramp     *struct {
				Units    float64
				Step, Of int
				Until    time.Time
			}
		}
	}
	if err := json.Unmarshal([]byte(show("-o", "json")), &doc); err != nil {
		t.Fatal(err)
	}
	_, stored, err := observe(t, nc).View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range doc.Members {
		if m.Ramp == nil {
			continue
		}
		got[m.Instance] = m.Ramp.Units
		if m.Ramp.Step != 3 || m.Ramp.Of != 4 || !m.Ramp.Until.Equal(stored.Add(5*time.Second)) {
			t.Errorf("%s: %+v of a view stored at %v", m.Instance, *m.Ramp, stored)
		}
	}
	if want := map[string]float64{"joined": 3, "grown": 5.5}; !maps.Equal(got, want) {
		t.Errorf("ramping are %v, want %v", got, want)
	}
	until := stored.Add(5 * time.Second).Local().Format(time.TimeOnly)
	for _, row := range []string{"grown active, ramping until " + until + " 5.5 of 6", "joined active, ramping until " + until + " 3 of 4", "same active 4", "shrunk active 2", "leaving draining 0"} {
		if text := strings.Join(strings.Fields(show()), " "); !strings.Contains(text, row) {
			t.Errorf("%q is not in:\n%s", row, show())
		}
	}

	view.Ramp = nil
	if _, err := store.Ports().Views.PutView(t.Context(), view, rev); err != nil {
		t.Fatal(err)
	}
	if text := show() + show("-o", "json"); strings.Contains(text, "ramp") {
		t.Errorf("ramping without a ramp:\n%s", text)
	}
}

func observe(t *testing.T, nc *nats.Conn) *natskv.Observer {
	t.Helper()
	o, err := natskv.NewObserver(nc, natskv.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestRingOfNobodyIsNotFound(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	for _, args := range [][]string{{"ring", "show"}, {"instance", "list"}, {"ring", "owner", "default"}} {
		r := call(t.Context(), t, "", nil, append([]string{"-s", s.URL()}, args...)...)
		if r.code != exitNotFound || r.stdout != "" || !strings.Contains(r.stderr, "no wadm has run here") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
