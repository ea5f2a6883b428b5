package conform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// world is what one case works with: a lattice of its own.
type world struct {
	ctx      context.Context
	nc       *nats.Conn
	lattice  string
	patience time.Duration
	sim      *simhost.Lattice
	subs     []*nats.Subscription
}

func (w *world) close() {
	for _, s := range w.subs {
		_ = s.Unsubscribe() // the connection may be gone
	}
	if w.sim != nil {
		w.sim.Close()
	}
}

// requestTimeout bounds one request.
const requestTimeout = 5 * time.Second

// ask sends a request of the API and returns the reply as it came.
func (w *world) ask(tail, body string, header ...string) (string, error) {
	m := nats.NewMsg("wadm.api." + w.lattice + tail)
	m.Data = []byte(body)
	for i := 0; i+1 < len(header); i += 2 {
		m.Header[header[i]] = []string{header[i+1]}
	}
	ctx, cancel := context.WithTimeout(w.ctx, requestTimeout)
	defer cancel()
	r, err := w.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", m.Subject, err)
	}
	return string(r.Data), nil
}

// ulid is a version that a server made up.
var ulid = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`)

// exchange is a request and the reply it must get. In the reply, «ULID» stands for
// a generated version, and a … at the end for anything.
type exchange struct {
	tail, body string
	header     []string
	want       string
}

// talk makes exchanges in order.
func (w *world) talk(all ...exchange) error {
	for _, x := range all {
		got, err := w.ask(x.tail, x.body, x.header...)
		if err != nil {
			return err
		}
		plain := ulid.ReplaceAllString(got, "«ULID»")
		head, open := strings.CutSuffix(x.want, "…")
		if plain != x.want && (!open || !strings.HasPrefix(plain, head)) {
			return fmt.Errorf("reply to %s %s\n  is   %s\n  want %s", x.tail, clip(x.body), got, x.want)
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

// put stores a manifest, deploy stores and deploys it.
func (w *world) put(m manifest) error {
	return w.expect(".model.put", m.json(), "created", "newversion")
}

func (w *world) deploy(m manifest) error {
	if err := w.put(m); err != nil {
		return err
	}
	return w.expect(".model.deploy."+m.name, fmt.Sprintf(`{"version":%q}`, m.version), "acknowledged")
}

func (w *world) undeploy(app string) error {
	return w.expect(".model.undeploy."+app, "", "acknowledged")
}

// expect makes a request whose result must be one of those given.
func (w *world) expect(tail, body string, results ...string) error {
	got, err := w.ask(tail, body)
	if err != nil {
		return err
	}
	var r struct {
		Result string `json:"result"`
	}
	if err := json.Unmarshal([]byte(got), &r); err != nil || !slices.Contains(results, r.Result) {
		return fmt.Errorf("reply to %s is %s, want result %v", tail, clip(got), results)
	}
	return nil
}

// heartbeat of the simulated hosts.
const heartbeat = time.Second

// hosts starts simulated hosts, one per set of labels ("zone=a,tier=x").
func (w *world) hosts(labels ...string) ([]*simhost.Host, error) {
	return w.hostsWith(simhost.Config{}, labels...)
}

func (w *world) hostsWith(cfg simhost.Config, labels ...string) ([]*simhost.Host, error) {
	if w.sim == nil {
		cfg.HeartbeatInterval = heartbeat
		cfg.SpreadHeartbeats = true
		sim, err := simhost.New(w.nc, w.lattice, cfg)
		if err != nil {
			return nil, err
		}
		w.sim = sim
	}
	var out []*simhost.Host
	for _, l := range labels {
		h, err := w.sim.AddHost(simhost.HostConfig{Labels: parseLabels(l)})
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

func parseLabels(s string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			out[k] = v
		}
	}
	return out
}

// steady is how long an outcome must last, in which nothing is commanded.
const steady = 2 * heartbeat

// until waits for an outcome: problem returns "" and goes on doing so.
func (w *world) until(problem func() string) error {
	ctx, cancel := context.WithTimeoutCause(w.ctx, w.patience, errPatience)
	defer cancel()
	for {
		last := ""
		err := w.sim.WaitFor(ctx, func() bool { last = problem(); return last == "" })
		if err == nil {
			err = w.pause(ctx, steady)
		}
		if now := problem(); err == nil && now == "" {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s (after %v)", either(now, last), w.patience)
		}
	}
}

var errPatience = errors.New("out of patience")

func either(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (w *world) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// running describes where a component runs, by the value of a label: "a:3 b:1".
// Several hosts with one value are joined: "a:3+1".
func (w *world) running(id, label string) string {
	counts := map[string][]int{}
	for _, h := range w.sim.Hosts() {
		inv := h.Inventory()
		for _, c := range inv.Components {
			if string(c.ID) == id {
				v := inv.Labels[label]
				counts[v] = append(counts[v], int(c.Max))
			}
		}
	}
	var out []string
	for v, ns := range counts {
		slices.SortFunc(ns, func(a, b int) int { return b - a })
		out = append(out, v+":"+strings.Trim(strings.Join(strings.Fields(fmt.Sprint(ns)), "+"), "[]"))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// runs wants a component to run as described.
func (w *world) runs(id, label, want string) func() string {
	return func() string {
		if got := w.running(id, label); got != want {
			return fmt.Sprintf("%s runs %q by %s, want %q", id, got, label, want)
		}
		return ""
	}
}

// total wants a component to run so often in sum.
func (w *world) total(id string, want int) func() string {
	return func() string {
		n := 0
		for _, c := range w.sim.Instances(lattice.WorkloadID(id)) {
			n += int(c)
		}
		if n != want {
			return fmt.Sprintf("%s runs %d times, want %d", id, n, want)
		}
		return ""
	}
}

// providers wants a provider on so many hosts.
func (w *world) providers(id string, want int) func() string {
	return func() string {
		if n := len(w.sim.Providers(lattice.WorkloadID(id))); n != want {
			return fmt.Sprintf("%s runs on %d hosts, want %d", id, n, want)
		}
		return ""
	}
}

// images wants all instances of a component or provider, of which there must be
// some, to run an image.
func (w *world) images(id, want string) func() string {
	return func() string {
		n := 0
		for _, h := range w.sim.Hosts() {
			inv := h.Inventory()
			for _, c := range inv.Components {
				if string(c.ID) == id {
					n++
					if code := h.Code(c.ID); c.Image != want || code != want {
						return fmt.Sprintf("%s says it runs %s and runs %s, want %s", id, c.Image, code, want)
					}
				}
			}
			for _, p := range inv.Providers {
				if string(p.ID) == id {
					n++
					if p.Image != want {
						return fmt.Sprintf("%s runs %s, want %s", id, p.Image, want)
					}
				}
			}
		}
		if n == 0 {
			return id + " runs nowhere"
		}
		return ""
	}
}

// linked wants exactly these links: "source package target source-configs".
func (w *world) linked(want ...string) func() string {
	return func() string {
		got := []string{}
		for _, l := range w.sim.Links() {
			got = append(got, strings.Join([]string{string(l.Source), l.Package, string(l.Target), strings.Join(l.SourceConfig, ",")}, " "))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Sprintf("links are %q, want %q", got, want)
		}
		return ""
	}
}

// configured wants exactly these configurations.
func (w *world) configured(want map[string]map[string]string) func() string {
	return func() string {
		got, _ := json.Marshal(w.sim.Configs()) // maps of texts
		if b, _ := json.Marshal(want); string(got) != string(b) {
			return fmt.Sprintf("configurations are %s, want %s", got, b)
		}
		return ""
	}
}

// empty wants nothing of wadm's to be left.
func (w *world) empty() string {
	for _, h := range w.sim.Hosts() {
		inv := h.Inventory()
		for _, c := range inv.Components {
			if c.Annotations[lattice.AnnotationManagedBy] == lattice.ManagedBy {
				return fmt.Sprintf("component %s is left over", c.ID)
			}
		}
		for _, p := range inv.Providers {
			if p.Annotations[lattice.AnnotationManagedBy] == lattice.ManagedBy {
				return fmt.Sprintf("provider %s is left over", p.ID)
			}
		}
	}
	return either(w.linked()(), w.configured(map[string]map[string]string{})())
}

// all wants several things at once.
func all(problems ...func() string) func() string {
	return func() string {
		for _, p := range problems {
			if s := p(); s != "" {
				return s
			}
		}
		return ""
	}
}

// clean wants no violation and no foreign work touched.
func (w *world) clean() error {
	if v := w.sim.Violations(); len(v) > 0 {
		return fmt.Errorf("%d violations, the first: %v", len(v), v[0])
	}
	return nil
}

// commands lists the kinds and bodies of commands about an id since a moment.
func (w *world) commands(id string, since time.Time) []simhost.Record {
	var out []simhost.Record
	for _, r := range w.sim.Commands() {
		if r.Time.After(since) && strings.Contains(string(r.Body)+r.Subject, id) {
			out = append(out, r)
		}
	}
	return out
}

// statusIs waits for the type of an application's status, and for a message that
// contains a text.
func (w *world) statusIs(app, kind, text string) error {
	deadline := time.Now().Add(w.patience)
	for {
		got, err := w.ask(".model.status."+app, "")
		if err != nil {
			return err
		}
		var r struct {
			Status struct {
				Status struct{ Type, Message string } `json:"status"`
			} `json:"status"`
		}
		if err := json.Unmarshal([]byte(got), &r); err != nil {
			return fmt.Errorf("decode status: %w", err)
		}
		if s := r.Status.Status; s.Type == kind && strings.Contains(s.Message, text) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("status of %s is %s, want %s %q", app, got, kind, text)
		}
		if err := w.pause(w.ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// subscribe listens from now on.
func (w *world) subscribe(subject string) (*nats.Subscription, error) {
	sub, err := w.nc.SubscribeSync(subject)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	w.subs = append(w.subs, sub)
	ctx, cancel := context.WithTimeout(w.ctx, requestTimeout)
	defer cancel()
	if err := w.nc.FlushWithContext(ctx); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return sub, nil
}

// next is the next message of a subscription.
func (w *world) next(sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(w.ctx, w.patience)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for %s: %w", sub.Subject, err)
	}
	return m, nil
}
