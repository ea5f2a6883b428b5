package core_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"wadm/scheduler/lattice"
)

// storyDefects says what the stories prove about the known defects of upstream.
// It stands beside the traces so that rewriting those cannot lose it. What upstream
// does is told in docs/reference/defects.md.
var storyDefects = []struct {
	defect, story string
	// must are pieces of the trace in this order; never is in none of its lines.
	must, never []string
}{
	{"D-01", "scale", []string{"to 3 of", "to 2 of", "to 2 of", "deployed", "a: shop-web=3", "b: shop-web=2", "c: shop-web=2"}, []string{"failed"}},
	{"D-02", "impossible", []string{"scale shop-web@a to 2", "failed Could not satisfy spread mars", "a: shop-http=1/http:1/east shop-web=2"}, nil},
	{"D-03", "scale", []string{"@a to 1", "@b to 1", "@c to 1"}, nil},
	{"D-04", "weights", []string{"scale shop-web@a to 3", "scale shop-web@b to 2", "deployed"}, []string{"failed"}},
	{"D-05", "daemon_removed", []string{"stop provider shop-http@a", "undeployed", "deployed"}, []string{"stop provider shop-http@b", "611.001"}},
	{"D-06", "unhealthy", []string{"deployed", "failed Unhealthy provider on 1 host(s)", "deployed"}, nil},
	{"D-07", "foreign", []string{"start provider shop-http@b", "deployed", "a: shop-http=1/their", "b: shop-http=1/http:1"}, []string{"shop-http@a", "shop-http@c"}},
	{"D-08", "provider_upgrade", []string{"start provider shop-http@b http:2", "stop provider shop-http@a", "deployed", "b: shop-http=1/http:2"}, nil},
	{"D-09", "moved_away", []string{"@a to 0", "@b to 0", "undeployed", "a: \n", "b: \n", "a: \n", "b: \n", "c: shop-web=3"}, nil},
	{"D-10", "foreign", []string{"a: shop-http=1/their:1/ shop-web=1/their:1/", "c: shop-web=1/their:1/", "undeployed", "c: shop-web=1/their:1/"}, []string{"shop-web@c", "shop-web@a"}},
	{"D-11", "daemon_overlap", []string{"scale shop-web@a", "scale shop-web@b", "deployed", "a: shop-web=1/web:1/edge", "b: shop-web=1/web:1/zone"}, nil},
	{"D-12", "link_drift", []string{"put link shop-http->shop-other wasi:blobstore", "deployed", "wasi:http/incoming-handler", "wasi:blobstore/blobstore"}, nil},
	{"D-13", "deploy", []string{"put config shop-addr", "1.002 put link shop-http->shop-web"}, nil},
	{"D-14", "config_kept", []string{"update component shop-web@b", "deployed", "config shop-addr", "config shop-lang"}, []string{"delete config"}},
	{"D-15", "configs_together", []string{"put config shop-one", "put config shop-three", "30.001 scale shop-web@a to 2", "deployed"}, []string{"0.103 scale", "0.104 scale", "Unable to fetch"}},
	{"D-16", "config_missing", []string{"failed Specified configuration theirs does not exist", "scale shop-web@a to 2", "deployed"}, nil},
	{"D-17", "upgrade", []string{"update component shop-web@a web:2", "35.001 update component shop-web@b web:2", "deployed"}, []string{"to 0 of"}},
	{"D-18", "same_id", []string{"failed", "scale web@b to 3", "a: web=2", "b: web=3"}, nil},
	{"D-21", "stranger", []string{"scale shop-web@a to 2 of web:1", "deployed", "a: shop-web=2/web:1/default"}, []string{"failed"}},
	{"D-22", "vanished", []string{"deployed", "20.000 start provider shop-http@a", "deployed", "40.000 scale shop-web@a", "deployed"}, nil},
	{"D-23", "relabel", []string{"30.000 scale shop-web@b to 3", "30.001 stop provider shop-http@a", "30.001 scale shop-web@a to 0"}, nil},
	{"D-24", "conflicts", []string{"spread mars for web:1", "spread venus", "spread io", "spread pluto", "spread mars for api:1"}, []string{"1.000 status", "0.000 status"}},
	{"D-25", "start_failed", []string{"failed", "2.607 scale", "7.529 scale", "62.420 status shop: deployed"}, nil},
	{"D-35", "lost_words", []string{"failed no outcome of scale_component", "to 4 of", "to 4 of", "deployed", "failed no answer to put_link", "put link", "deployed"}, nil},
	{"D-52", "host_silent", []string{"18.103 status shop: deployed", "a: shop-big=1"}, []string{"shop-big@b"}},
	{"D-68", "restart", []string{"31.000 delete link", "31.102 stop provider shop-http@a", "undeployed"}, nil},
	{"D-71", "restart", []string{"31.102 scale shop-web@a to 0", "undeployed", "a: \n", "b: \n"}, nil},
}

// TestDefects has one test for each defect of upstream that the core rules out.
func TestDefects(t *testing.T) {
	t.Parallel()
	for _, d := range storyDefects {
		t.Run(d.defect, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("testdata/" + d.story + ".story")
			if err != nil {
				t.Fatal(err)
			}
			trace := onlyTrace(tell(t, string(text)))
			rest := trace
			for _, m := range d.must {
				_, after, ok := strings.Cut(rest, m)
				if !ok {
					t.Fatalf("%q is missing, or not in its place, in\n%s", m, trace)
				}
				rest = after
			}
			for _, n := range d.never {
				if strings.Contains(trace, n) {
					t.Errorf("%q is in\n%s", n, trace)
				}
			}
		})
	}
	t.Run("D-19", secretFieldIsPartOfTheSecret)
	t.Run("D-20", healthOfUnknownKindChangesNothing)
	t.Run("D-24 after events", conflictsAreToldOnce)
	t.Run("D-42", eventsAreReadForWhatTheyAreNeeded)
	t.Run("D-50", everyFactOfManyHostsIsKept)
}

func onlyTrace(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if s, ok := strings.CutPrefix(line, "| "); ok {
			out.WriteString(s)
		}
	}
	return out.String()
}

// secretFieldIsPartOfTheSecret: another field of the same secret reaches hosts.
func secretFieldIsPartOfTheSecret(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.addHost("a", nil)
	deploy := func(field string) {
		m := parseApp(t, "shop", []string{"policy vault backend=nats-kv", "component web image=web:1 instances=1 secret=token:vault/key"})
		m.Spec.Components[0].Properties.Secrets[0].Field = &field
		w.apps["shop"] = m
		w.desired()
		w.run(30 * time.Second)
	}
	for _, field := range []string{"user", "password"} {
		deploy(field)
		if got := w.configs["SECRET_shop-token"]["field"]; got != field {
			t.Errorf("field %q is asked for, the store says %q", field, got)
		}
	}
}

// healthOfUnknownKindChangesNothing: only a passed or a failed check says
// something about a provider.
func healthOfUnknownKindChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.addHost("a", nil)
	w.apps["shop"] = parseApp(t, "shop", []string{"provider http image=http:1"})
	w.desired()
	w.run(10 * time.Second)
	told := func(kind lattice.EventKind) string {
		w.history = nil
		w.emit(h, kind, map[string]any{"provider_id": "shop-http", "host_id": "a"})
		w.run(time.Second)
		return strings.Join(w.history, "\n")
	}
	if got := told(lattice.HealthCheckStatus); got != "" {
		t.Errorf("of a provider without a check: %s", got)
	}
	if got := told(lattice.HealthCheckFailed); !strings.Contains(got, "Unhealthy") {
		t.Errorf("a failed check: %q", got)
	}
	if got := told(lattice.HealthCheckStatus); got != "" {
		t.Errorf("of an unhealthy provider: %s", got)
	}
}

// conflictsAreToldOnce: whatever happens around them, spreads that cannot hold
// are not told again.
func conflictsAreToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 6 {
		w.addHost(lattice.HostID(fmt.Sprintf("h%02d", i)), map[string]string{"zone": "e"})
	}
	w.apps["shop"] = parseApp(t, "shop", []string{"component web image=web:1 instances=9 spread=m:zone=m spread=v:zone=v spread=i:zone=i spread=j:zone=j"})
	w.desired()
	for i := range 15 {
		w.run(10 * time.Second)
		// Hosts that come and go look at every spread again.
		h := w.addHost(lattice.HostID(fmt.Sprintf("x%02d", i)), nil)
		w.run(time.Second)
		w.kill(h.id, true)
	}
	told := slices.DeleteFunc(slices.Clone(w.history), func(l string) bool { return !strings.Contains(l, "status shop:") })
	if len(told) != 1 {
		t.Errorf("%d statuses: %q", len(told), told)
	}
}

// everyFactOfManyHostsIsKept: what hosts say at one moment about one component
// is known of each of them.
func everyFactOfManyHostsIsKept(t *testing.T) {
	t.Parallel()
	const hosts = 40
	w := newWorld()
	for i := range hosts {
		w.addHost(lattice.HostID(fmt.Sprintf("h%03d", i)), nil)
	}
	w.apps["shop"] = parseApp(t, "shop", []string{fmt.Sprintf("component web image=web:1 instances=%d", 2*hosts)})
	w.desired()
	w.run(5 * time.Second)
	if w.sent != hosts {
		t.Errorf("%d commands for %d hosts", w.sent, hosts)
	}
	if have := w.core.Explain("shop", w.now).Scalers[0].Have; have != 2*hosts {
		t.Errorf("%d instances are known of on %d hosts", have, hosts)
	}
	if last := w.history[len(w.history)-1]; !strings.HasSuffix(last, "deployed ") {
		t.Errorf("in the end: %s", last)
	}
}

// eventsAreReadForWhatTheyAreNeeded: parts of an event that mean nothing to us may
// have any shape.
func eventsAreReadForWhatTheyAreNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.addHost("a", nil)
	w.mislaid = func(k lattice.EventKind) bool { return k == lattice.ProviderStarted }
	w.apps["shop"] = parseApp(t, "shop", []string{"provider http image=http:1"})
	w.desired()
	w.run(time.Second)
	w.mislaid = nil
	running := h.workloads[lattice.ProviderOf("shop-http")]
	if running == nil {
		t.Fatalf("not started: %q", w.history)
	}
	w.emit(h, lattice.ProviderStarted, map[string]any{"provider_id": "shop-http", "image_ref": "http:1", "annotations": running.annotations, "host_id": "a",
		"claims": map[string]any{"issuer": 5, "version": nil, "expires_in_human": []int{}}, "instance_id": map[string]any{}, "contract_id": nil})
	w.run(time.Second)
	if last := w.history[len(w.history)-1]; !strings.HasSuffix(last, "deployed ") {
		t.Errorf("in the end: %s", last)
	}
}
