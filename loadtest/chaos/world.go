package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
	"wadm/shard"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// The application every lattice runs: a component in two zones, a provider, a
// link and a configuration.
const (
	appName     = "app"
	componentID = lattice.WorkloadID(appName + "-web")
	providerID  = lattice.WorkloadID(appName + "-http")
	appManifest = `apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: app
  annotations: {version: v1}
spec:
  components:
    - name: web
      type: component
      properties: {image: registry.example.com/web:1}
      traits:
        - type: spreadscaler
          properties:
            instances: 2
            spread:
              - {name: east, weight: 50, requirements: {zone: a}}
              - {name: west, weight: 50, requirements: {zone: b}}
    - name: http
      type: capability
      properties: {image: registry.example.com/http:1}
      traits:
        - type: link
          properties:
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            target: {name: web}
            source: {config: [{name: address, properties: {address: "127.0.0.1:8080"}}]}
`
)

// site is one lattice with its hosts and what is wanted there.
type site struct {
	key    shard.Key
	sim    *simhost.Lattice
	client *api.Client

	// ask keeps requests of one lattice in order.
	ask sync.Mutex

	mu       sync.Mutex
	deployed bool
	// started counts how often a host was asked to run the component, by host;
	// changed is closed and replaced when one was.
	started map[lattice.HostID]int
	changed chan struct{}
	// disturbed: until when its hosts are not well.
	disturbed time.Time
}

// newSite makes a lattice with a host in each of two zones and somebody else's
// work on one of them.
func newSite(nc *nats.Conn, cfg Config, name string) (*site, error) {
	key := tenancy.LatticeKey{Tenant: "default", Lattice: tenancy.Lattice(name)}
	s := &site{key: shard.Key(key.Token()), started: map[lattice.HostID]int{}, changed: make(chan struct{})}
	var err error
	if s.sim, err = simhost.New(nc, name, simhost.Config{
		Seed: cfg.Seed, RequireEpoch: true, HeartbeatInterval: cfg.Heartbeat, SpreadHeartbeats: true, OnCommand: s.note,
	}); err != nil {
		return nil, err
	}
	for _, zone := range []string{"a", "b"} {
		h, err := s.sim.AddHost(simhost.HostConfig{Labels: map[string]string{"zone": zone}})
		if err == nil && zone == "a" {
			err = errors.Join(
				h.StartComponent(lattice.Component{ID: "foreign", Image: "registry.example.com/foreign:1", Max: 1}),
				s.sim.SeedConfig("foreign", map[string]string{"of": "somebody else"}),
			)
		}
		if err != nil {
			s.sim.Close()
			return nil, err
		}
	}
	if s.client, err = api.NewClient(nc, api.ClientConfig{Lattice: key.Lattice}); err != nil {
		s.sim.Close()
		return nil, err
	}
	return s, nil
}

// note counts the starts of the component.
func (s *site) note(r simhost.Record) {
	if r.Kind != "component.scale" || !r.Accepted {
		return
	}
	var body struct {
		ID    lattice.WorkloadID `json:"component_id"`
		Count int                `json:"count"`
	}
	if json.Unmarshal(r.Body, &body) != nil || body.ID != componentID || body.Count == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started[r.Host]++
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *site) starts(h lattice.HostID) (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started[h], s.changed
}

// restarted waits until the component was started again on a host.
func (s *site) restarted(ctx context.Context, h lattice.HostID, before int) bool {
	for {
		n, changed := s.starts(h)
		if n > before {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// want deploys or undeploys, until that is acknowledged.
func (s *site) want(ctx context.Context, deployed bool) error {
	s.ask.Lock()
	defer s.ask.Unlock()
	insist := func(f func(context.Context) error) error {
		for {
			limit, cancel := context.WithTimeout(ctx, 2*time.Second)
			err := f(limit)
			cancel()
			if err == nil || errors.Is(err, api.ErrInvalid) {
				return err
			}
			if !sleep(ctx, 50*time.Millisecond) {
				return errors.Join(context.Cause(ctx), err)
			}
		}
	}
	var err error
	if deployed {
		err = insist(func(ctx context.Context) error {
			_, err := s.client.Put(ctx, []byte(appManifest), "application/yaml")
			if errors.Is(err, api.ErrExists) {
				return nil
			}
			return err
		})
		if err == nil {
			err = insist(func(ctx context.Context) error { _, err := s.client.Deploy(ctx, appName, nil); return err })
		}
	} else {
		err = insist(func(ctx context.Context) error {
			err := s.client.Undeploy(ctx, appName)
			if errors.Is(err, api.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("change %s: %w", s.key, err)
	}
	s.mu.Lock()
	s.deployed = deployed
	s.mu.Unlock()
	return nil
}

func (s *site) isDeployed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deployed
}

func (s *site) disturb(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until.After(s.disturbed) {
		s.disturbed = until
	}
}

func (s *site) disturbedAt(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.Before(s.disturbed)
}

// right says what is not as it is wanted.
func (s *site) right() error {
	deployed := s.isDeployed()
	n, foreign := 0, false
	for _, h := range s.sim.Hosts() {
		inv := h.Inventory()
		have := uint32(0)
		for _, c := range inv.Components {
			switch c.ID {
			case componentID:
				have = c.Max
			case "foreign":
				foreign = true
			default:
				return fmt.Errorf("%s: component %s on %s", s.key, c.ID, inv.Labels["zone"])
			}
		}
		if want := map[bool]uint32{true: 1}[deployed]; have != want {
			return fmt.Errorf("%s: %d instances in zone %s, want %d", s.key, have, inv.Labels["zone"], want)
		}
		n += len(inv.Providers)
	}
	one := map[bool]int{true: 1}[deployed]
	switch links, configs := len(s.sim.Links()), len(s.sim.Configs()); {
	case !foreign:
		return fmt.Errorf("%s: somebody else's component is gone", s.key)
	case n != one || len(s.sim.Providers(providerID)) != one:
		return fmt.Errorf("%s: %d providers, want %d", s.key, n, one)
	case links != one:
		return fmt.Errorf("%s: %d links, want %d", s.key, links, one)
	case configs != 1+one:
		return fmt.Errorf("%s: %d configurations, want %d", s.key, configs, 1+one)
	}
	return nil
}

// Sample is one probe: for how long nobody corrected a lattice.
type Sample struct {
	Key shard.Key
	At  time.Time
	For time.Duration
	// Disturbed: the lattice's own hosts were not well meanwhile.
	Disturbed bool
}

// prober removes work by hand, again and again, and measures.
type prober struct {
	mu      sync.Mutex
	samples []Sample
	ended   map[shard.Key]time.Time // when the newest corrected one was made
}

func newProber() *prober {
	return &prober{ended: map[shard.Key]time.Time{}}
}

// run probes one lattice until stop is closed and the last probe is answered, or ctx ends.
func (p *prober) run(ctx context.Context, stop <-chan struct{}, s *site, rest time.Duration) {
	hosts := s.sim.Hosts()
	for i := 0; ; i++ {
		t := time.NewTimer(rest)
		select {
		case <-t.C:
		case <-stop:
			t.Stop()
			return
		case <-ctx.Done():
			t.Stop()
			return
		}
		h := hosts[i%len(hosts)]
		before, _ := s.starts(h.ID())
		at := time.Now()
		if err := h.RemoveComponent(componentID); err != nil {
			continue // what was removed before is still to be done by a host that is busy
		}
		if !s.restarted(ctx, h.ID(), before) {
			return
		}
		p.mu.Lock()
		p.ended[s.key] = at
		p.samples = append(p.samples, Sample{s.key, at, time.Since(at), s.disturbedAt(at)})
		p.mu.Unlock()
	}
}

// since lists the keys without a probe that began after t and was answered.
func (p *prober) since(t time.Time, sites []*site) []shard.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	var missing []shard.Key
	for _, s := range sites {
		if !p.ended[s.key].After(t) {
			missing = append(missing, s.key)
		}
	}
	return missing
}

func (p *prober) all() []Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Sample(nil), p.samples...)
}
