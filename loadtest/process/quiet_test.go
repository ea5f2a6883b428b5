package process_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"wadm/loadtest/simhost"
	"wadm/tenancy"
)

// quietApp is an application of n components with ten instances each.
func quietApp(n int) string {
	var b strings.Builder
	b.WriteString("apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata:\n  name: quiet\n  annotations: {version: v1}\nspec:\n  components:\n")
	for i := range n {
		fmt.Fprintf(&b, `    - name: c%d
      type: component
      properties: {image: "registry.example.com/c%d:1"}
      traits: [{type: spreadscaler, properties: {instances: 10}}]
`, i, i)
	}
	return b.String()
}

// sent is what the connections of a server have sent according to NATS.
func sent(t *testing.T, r *rig) (messages, bytes int64) {
	t.Helper()
	conns, err := r.nats.NATS().Connz(&server.ConnzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range conns.Conns {
		if strings.HasPrefix(c.Name, "wadm ") {
			n++
			messages += c.InMsgs
			bytes += c.InBytes
		}
	}
	if n < 2 {
		t.Fatalf("%d connections of the server", n)
	}
	return messages, bytes
}

// TestQuietHeartbeatsCostNothingButTheirAcknowledgements counts everything the
// server sends while nothing happens: by NATS' own counters, so that nothing is
// overlooked, and by subject, so that it has a name. It runs alone: a host that
// is late because the machine does something else is rightly asked after.
func TestQuietHeartbeatsCostNothingButTheirAcknowledgements(t *testing.T) {
	const hosts, components, beats = 50, 100, 60
	const interval = 400 * time.Millisecond
	r := newRig(t)
	l := r.lattice("default", 0, simhost.Config{HeartbeatInterval: interval, SpreadHeartbeats: true, Records: -1})
	for range hosts {
		if _, err := l.AddHost(simhost.HostConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	in := r.start("one")
	c := r.client("default")
	r.put(c, quietApp(components))
	r.deploy(c, "quiet")
	r.awaitStatus(c, "quiet", tenancy.StatusDeployed)

	// Quiet is when heartbeats brought no news for so long that the snapshot of
	// what changed last has been stored too, which takes five seconds.
	var events, unchanged float64
	r.eventually("heartbeats bring no news", func() error {
		// The counters are read one after the other, the smaller one first.
		u := r.metric(in, "wadm_events_unchanged_total")
		e := r.metric(in, "wadm_events_total")
		if e-events < 40*hosts {
			return fmt.Errorf("only %v events", e-events)
		}
		news := (e - events) - (u - unchanged)
		events, unchanged = e, u
		if news > 20 {
			return fmt.Errorf("%v events with news", news)
		}
		return nil
	})

	// What the hosts and NATS itself send is not counted.
	var mu sync.Mutex
	subjects := map[string]int64{}
	watch := r.nats.Connect(t, nats.Name("observer"))
	if _, err := watch.Subscribe(">", func(m *nats.Msg) {
		name := m.Subject
		switch {
		case strings.HasPrefix(name, "wasmbus.evt."), strings.HasPrefix(name, "evt."), strings.HasPrefix(name, "_INBOX."), strings.HasPrefix(name, "$JS.EVENT."):
			return
		case strings.HasPrefix(name, "wasmbus.ctl.v1.default.host.get."):
			name = question
		case strings.HasPrefix(name, "$JS.ACK."):
			name = acknowledgement
		case strings.HasPrefix(name, "$JS.API.CONSUMER.MSG.NEXT."):
			name = pull
		}
		mu.Lock()
		subjects[name]++
		mu.Unlock()
	}); err != nil {
		t.Fatal(err)
	}
	if err := watch.Flush(); err != nil {
		t.Fatal(err)
	}
	commands, statuses := r.metric(in, "wadm_commands_total"), r.metric(in, "wadm_statuses_total")
	before := r.metric(in, "wadm_events_total")
	messages, bytes := sent(t, r)
	at := time.Now()
	r.eventually("heartbeats pass", func() error {
		if n := r.metric(in, "wadm_events_total") - before; n < hosts*beats {
			return fmt.Errorf("%v events", n)
		}
		return nil
	})
	messagesNow, bytesNow := sent(t, r)
	took := time.Since(at)
	if err := watch.Flush(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	acks, pulls, other := subjects[acknowledgement], subjects[pull], int64(0)
	for subject, n := range subjects {
		if subject != acknowledgement && subject != pull {
			other += n
			t.Logf("%d messages on %s", n, subject)
		}
		for _, forbidden := range []string{"wasmbus.ctl.", "$KV.wadm_catalog.", "wadm.cmd.", "wadm.state.", "wadm.status.", "wadm.evt."} {
			if strings.HasPrefix(subject, forbidden) {
				t.Errorf("%d messages on %s", n, subject)
			}
		}
	}
	t.Logf("%d heartbeats of %d hosts in %v: the server sent %d messages, %d bytes; %d acknowledgements, %d requests for events, %d others",
		hosts*beats, hosts, took.Round(time.Millisecond), messagesNow-messages, bytesNow-bytes, acks, pulls, other)
	if acks < hosts*beats {
		t.Errorf("only %d acknowledgements", acks)
	}
	// One request brings many events.
	if pulls > acks/10 {
		t.Errorf("%d requests for %d events", pulls, acks)
	}
	// What goes by the clock and not by the event: the roll of the instances, the
	// look for new lattices.
	if perSecond := float64(other) / took.Seconds(); perSecond > 20 {
		t.Errorf("%d other messages, %.1f per second", other, perSecond)
	}
	// A host that was kept from speaking for a second is asked; that is not quiet,
	// but other programs on the machine can't be helped.
	if asked := subjects[question]; asked > hosts*beats/100 {
		t.Errorf("hosts were asked %d times", asked)
	}
	// NATS saw no more than has a name here.
	if nameless := (messagesNow - messages) - (acks + pulls + other); nameless > acks/100 {
		t.Errorf("%d messages were sent that nobody could see", nameless)
	}
	for name, was := range map[string]float64{"wadm_commands_total": commands, "wadm_statuses_total": statuses} {
		if now := r.metric(in, name); now != was {
			t.Errorf("%s rose from %v to %v", name, was, now)
		}
	}
	spotless(t, l)
}

// Names for the subjects that are different every time.
const (
	acknowledgement = "acknowledgement"
	pull            = "request for events"
	question        = "question to a host"
)
