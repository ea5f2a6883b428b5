package simhost

import (
	"slices"
	"strings"
	"time"

	"wadm/scheduler/lattice"
)

const (
	healthFirst  = 5 * time.Second
	healthPeriod = 30 * time.Second
)

// builtins are the in-process providers a host can have.
var builtins = []string{"http-server", "messaging-nats"}

// Health is how a provider answers its host's checks.
type Health int

// The ways to answer.
const (
	Healthy Health = iota
	Unhealthy
	// Hung answers not at all.
	Hung
)

// provider is an entry of a host's provider table.
type provider struct {
	id, image   string // image without its scheme
	annotations *dict
	claims      *Claims
	health      Health
	passed      bool // the last answer was healthy
}

func (h *Host) provider(id string) *provider {
	for _, p := range h.providers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// bare strips a provider reference the way hosts do before they show it.
func bare(ref string) string {
	for _, scheme := range []string{"oci://", "http://", "https://", "file://", "wasmcloud+builtin://"} {
		if s, ok := strings.CutPrefix(ref, scheme); ok {
			return s
		}
	}
	return ref
}

func (h *Host) startProvider(r request) {
	s, err := decodeStart(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize provider start command", err)
		return
	}
	h.checkHost(r, s.hostID)
	builtin, isBuiltin := strings.CutPrefix(s.ref, "wasmcloud+builtin://")
	if isBuiltin && slices.Contains(h.cfg.DisabledBuiltins, builtin) {
		return // such a request is left without an answer
	}
	done := h.begin(r)
	h.providerTable.use(func() {
		if h.provider(s.id) != nil {
			h.lattice.needless(r.record)
			h.refuse(r, "provider with that ID is already running")
			done()
			return
		}
		h.accept(r, "successfully started provider")
		h.launch(s, done)
	})
}

// launch fetches a provider and starts it. The provider table is held while it
// launches.
func (h *Host) launch(s start, done func()) {
	if s.ref == "" {
		h.startFailed(s, "failed to parse provider reference")
		done()
		return
	}
	h.fetch(s.ref, func(img Image) {
		fail := func(text string) {
			h.startFailed(s, text)
			done()
		}
		switch {
		case img.Denied != "":
			fail(img.Denied)
			return
		case img.FetchError != "":
			fail("failed to fetch provider: " + img.FetchError)
			return
		}
		l := h.lattice
		l.store.addClaims(img.Claims, false)
		l.store.touch(s.id, bare(s.ref))
		h.providerTable.use(func() {
			builtin, isBuiltin := strings.CutPrefix(s.ref, "wasmcloud+builtin://")
			failed := ""
			switch {
			case h.provider(s.id) != nil:
				failed = "provider is already running with that ID"
			case isBuiltin && builtin == "http-client":
				failed = "feature `builtin-http-client` is not enabled, denying start"
			case isBuiltin && !slices.Contains(builtins, builtin):
				failed = "unknown builtin name: " + builtin
			default:
				failed = h.resolve(s.config)
			}
			if failed != "" {
				fail(failed)
				return
			}
			h.compile(&h.providerTable, img, func() {
				if img.CompileError != "" {
					fail(img.CompileError)
					return
				}
				p := &provider{id: s.id, image: bare(s.ref), annotations: l.dict(s.annotations), claims: img.Claims}
				h.providers = append(h.providers, p)
				h.providerStarted(p, s.hostID)
				if !isBuiltin {
					h.check(p, healthFirst)
				}
				done()
			})
		})
	})
}

// check asks a provider for its health after d and from then on regularly.
func (h *Host) check(p *provider, d time.Duration) {
	h.timer(d, func() {
		if h.provider(p.id) != p {
			return
		}
		h.check(p, healthPeriod)
		h.do(func() { h.checked(p) })
	})
}

func (h *Host) checked(p *provider) {
	if h.provider(p.id) != p || p.health == Hung {
		return
	}
	kind := lattice.HealthCheckStatus
	switch healthy := p.health == Healthy; {
	case healthy && !p.passed:
		kind = lattice.HealthCheckPassed
	case !healthy && p.passed:
		kind = lattice.HealthCheckFailed
	}
	p.passed = p.health == Healthy
	h.emit(kind, newObject(h.lattice.scratch()).str("host_id", string(h.id)).str("provider_id", p.id).end())
}

func (h *Host) stopProvider(r request) {
	s, err := decodeStop(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize provider stop command", err)
		return
	}
	h.checkHost(r, s.hostID)
	h.providerTable.use(func() {
		p := h.provider(s.id)
		if p == nil {
			h.lattice.needless(r.record)
			h.refuse(r, "provider with that ID is not running")
			return
		}
		if !p.annotations.managed() {
			h.lattice.violate(h, r.record, RuleForeign, "provider "+s.id)
		}
		h.shutDown(p, s.hostID, func() { h.accept(r, "successfully stopped provider") })
	})
}

// shutDown removes a provider at once and tells when it has ended.
func (h *Host) shutDown(p *provider, hostID string, then func()) {
	h.providers = slices.DeleteFunc(h.providers, func(o *provider) bool { return o == p })
	h.providerTable.hold()
	h.after(h.lattice.cfg.ShutdownDelay, func() {
		h.emit(lattice.ProviderStopped, newObject(h.lattice.scratch()).raw("annotations", p.annotations.json).str("host_id", hostID).
			str("instance_id", p.id).str("link_name", "default").str("provider_id", p.id).str("public_key", p.id).str("reason", "stop").end())
		then()
		h.providerTable.release()
	})
}

func (h *Host) providerStarted(p *provider, hostID string) {
	o := newObject(h.lattice.scratch()).raw("annotations", p.annotations.json)
	if k := p.claims; k != nil {
		o = o.key("claims")
		o = newObject(o).str("expires_human", "never").str("issuer", k.Issuer).orNull("name", k.Name).str("not_before_human", "never").
			raw("tags", "null").orNull("version", k.Version).end()
		o = o.str("instance_id", p.id).str("link_name", "default").str("public_key", p.id)
	}
	h.emit(lattice.ProviderStarted, o.str("host_id", hostID).str("image_ref", p.image).str("provider_id", p.id).end())
}

func (h *Host) startFailed(s start, text string) {
	h.emit(lattice.ProviderStartFailed, newObject(h.lattice.scratch()).str("error", text).str("host_id", s.hostID).
		str("link_name", "default").str("provider_id", s.id).str("provider_ref", s.ref).end())
}

func (h *Host) auctionProvider(r request) {
	a, err := decodeAuction("provider", r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize provider auction command", err)
		return
	}
	if h.cfg.NoAuctions || !h.fits(a.constraints) {
		return
	}
	h.providerTable.use(func() {
		if h.provider(a.id) == nil {
			h.bid(r, "provider", a.id, a.ref, a.constraints)
		}
	})
}
