package simhost

import (
	"fmt"
	"slices"
	"strings"

	"wadm/scheduler/lattice"
)

// component is an entry of a host's component table.
type component struct {
	id    string
	image string // what the host says it runs
	code  string // what it runs
	// annotations, max, config (without secrets) and limits (JSON) as stored.
	annotations *dict
	max         uint32
	config      []string
	limits      string
	claims      *Claims
}

func (h *Host) component(id string) *component {
	for _, c := range h.components {
		if c.id == id {
			return c
		}
	}
	return nil
}

// scaleComponent answers a scale request at once and works on it afterwards.
func (h *Host) scaleComponent(r request) {
	l := h.lattice
	s, err := decodeScale(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize component scale command", err)
		return
	}
	if !s.counted {
		l.violate(h, r.record, RuleNoCount, s.id)
	}
	h.checkHost(r, s.hostID)
	done := h.begin(r)
	h.componentTable.use(func() {
		message, replace := "", false
		c := h.component(s.id)
		if c != nil && c.image != s.ref {
			if s.allowUpdate {
				message = "Requested to scale existing component, with a changed image reference: " + c.image + " != " + s.ref +
					". The component will be scaled, and the image reference will be updated afterwards."
				replace = true
			} else {
				message = "Requested to scale existing component to a different image reference: " + c.image + " != " + s.ref +
					". The component will be scaled but the image reference will not be updated. If you meant to update this component to a new image ref, use the update command."
			}
		}
		if h.settled(c, s) {
			l.needless(r.record)
		}
		h.accept(r, message)
		h.scale(s, r.record, func() {
			done()
			if replace {
				h.replace(update{id: s.id, ref: s.ref, hostID: s.hostID}, r.record, func() {})
			}
		})
	})
}

// settled tells whether a scale would change nothing.
func (h *Host) settled(c *component, s scale) bool {
	if c == nil {
		return s.count == 0
	}
	return c.max == s.count && c.image == s.ref && slices.Equal(c.config, s.config) && c.annotations == h.lattice.dict(s.annotations)
}

// begin marks a request as being done until the returned function is called;
// the same request meanwhile is needless.
func (h *Host) begin(r request) (done func()) {
	key := r.kind() + " " + string(r.msg.Data)
	if h.doing[key] > 0 {
		h.lattice.needless(r.record)
	}
	if h.doing == nil {
		h.doing = map[string]int{}
	}
	h.doing[key]++
	return func() {
		if h.doing[key]--; h.doing[key] <= 0 {
			delete(h.doing, key)
		}
	}
}

func (h *Host) checkHost(r request, named string) {
	if named != string(h.id) {
		h.lattice.violate(h, r.record, RuleWrongHost, fmt.Sprintf("body names %q", named))
	}
}

// scale fetches the image and brings the component to the count. done is
// called when the work is over, however it ended.
func (h *Host) scale(s scale, rec *Record, done func()) {
	h.fetch(s.ref, func(img Image) {
		h.componentTable.use(func() {
			if img.Denied != "" {
				h.scaleFailed(s, img.Claims, img.Denied)
				done()
				return
			}
			c := h.component(s.id)
			if c != nil && !c.annotations.managed() {
				h.lattice.violate(h, rec, RuleForeign, "component "+s.id)
			}
			switch {
			case c == nil && s.count == 0:
				h.scaled(s.id, s.ref, 0, h.lattice.dict(s.annotations), s.hostID)
			case c == nil:
				h.instantiate(s, img, done)
				return
			case s.count == 0:
				h.components = slices.DeleteFunc(h.components, func(o *component) bool { return o == c })
				h.scaled(c.id, c.image, 0, c.annotations, s.hostID)
			default:
				h.rescale(c, s, rec)
			}
			done()
		})
	})
}

// instantiate starts a component that does not run. The table is held while it
// compiles.
func (h *Host) instantiate(s scale, img Image, done func()) {
	l := h.lattice
	failed := img.FetchError
	if failed == "" {
		failed = badReference(s.ref)
	}
	claims := img.Claims
	if failed != "" {
		failed, claims = "failed to fetch component: "+failed, nil
	} else {
		failed = h.resolve(s.config)
	}
	if failed != "" {
		h.scaleFailed(s, claims, failed)
		done()
		return
	}
	l.store.addClaims(img.Claims, true)
	l.store.touch(s.id, s.ref)
	h.compile(&h.componentTable, img, func() {
		if img.CompileError != "" {
			h.scaleFailed(s, img.Claims, img.CompileError)
			done()
			return
		}
		c := &component{
			id: s.id, image: s.ref, code: s.ref, annotations: l.dict(s.annotations), max: s.count,
			config: withoutSecrets(s.config), limits: limits(s.limits), claims: img.Claims,
		}
		h.components = append(h.components, c)
		if !l.cfg.Quirks.SingleScaled {
			h.scaled(c.id, c.image, c.max, c.annotations, string(h.id))
		}
		h.scaled(c.id, c.image, c.max, c.annotations, s.hostID)
		done()
	})
}

// rescale changes the count of a running component. What the request says
// beside it is stored only when count or configuration differ, and the event
// shows what was stored before.
func (h *Host) rescale(c *component, s scale, rec *Record) {
	reconfigured := !slices.Equal(c.config, s.config)
	if reconfigured {
		if failed := h.resolve(s.config); failed != "" {
			h.scaleFailed(s, c.claims, failed)
			return
		}
	}
	h.scaled(c.id, c.image, s.count, c.annotations, s.hostID)
	same := c.max == s.count && !reconfigured
	switch {
	case c.image == s.ref:
	case same && !s.allowUpdate:
		h.lattice.violate(h, rec, RuleOtherImage, fmt.Sprintf("component %s stays with %s", c.id, c.image))
	case !same:
		h.lattice.violate(h, rec, RuleOtherImage, fmt.Sprintf("component %s says %s and runs %s", c.id, s.ref, c.code))
	}
	if same {
		return
	}
	c.image, c.annotations, c.max = s.ref, h.lattice.dict(s.annotations), s.count
	c.config, c.limits = withoutSecrets(s.config), limits(s.limits)
}

// compile holds a table while an image is made ready, then runs fn. A host that
// mutes is mute that long.
func (h *Host) compile(t *table, img Image, fn func()) {
	if img.Compile <= 0 && !img.NeverCompiled {
		fn()
		return
	}
	t.hold()
	if img.Mutes {
		h.mutes++
	}
	if img.NeverCompiled {
		return
	}
	h.timer(img.Compile, func() {
		if img.Mutes {
			h.mutes--
		}
		h.do(func() {
			fn()
			t.release()
		})
		h.resume()
	})
}

// updateComponent answers an update request and works on it afterwards.
func (h *Host) updateComponent(r request) {
	u, err := decodeUpdate(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize component update command", err)
		return
	}
	h.checkHost(r, u.hostID)
	done := h.begin(r)
	h.componentTable.use(func() {
		switch c := h.component(u.id); {
		case c == nil:
			h.refuse(r, "component "+u.id+" not found")
			done()
		case c.image == u.ref:
			h.lattice.needless(r.record)
			h.accept(r, "component "+u.id+" already updated to "+u.ref)
			done()
		default:
			h.accept(r, "component "+u.id+" updating from "+c.image+" to "+u.ref)
			h.replace(u, r.record, done)
		}
	})
}

// replace exchanges the code of a running component in place. The old code
// serves until the new one is ready; a failure changes nothing and is silent.
func (h *Host) replace(u update, rec *Record, done func()) {
	if c := h.component(u.id); c == nil || c.image == u.ref {
		done()
		return
	}
	h.fetch(u.ref, func(img Image) {
		if img.FetchError != "" || img.Denied != "" || badReference(u.ref) != "" {
			done()
			return
		}
		finish := func() {
			h.componentTable.use(func() {
				h.replaced(u, img, rec)
				done()
			})
		}
		if img.Compile <= 0 && !img.NeverCompiled {
			finish()
			return
		}
		if img.Mutes {
			h.stalls++
		}
		if img.NeverCompiled {
			return
		}
		h.timer(img.Compile, func() {
			if img.Mutes {
				h.stalls--
			}
			if h.stalls == 0 {
				h.flushOutbox()
			}
			h.do(finish)
			h.resume()
		})
	})
}

func (h *Host) replaced(u update, img Image, rec *Record) {
	c := h.component(u.id)
	if c == nil || img.CompileError != "" {
		return
	}
	if !c.annotations.managed() {
		h.lattice.violate(h, rec, RuleForeign, "component "+u.id)
	}
	c.image, c.code, c.annotations, c.claims = u.ref, u.ref, h.lattice.dict(u.annotations), img.Claims
	h.lattice.store.addClaims(img.Claims, true)
	h.scaled(c.id, c.image, c.max, c.annotations, u.hostID)
	if !h.lattice.cfg.Quirks.NoZeroAfterUpdate {
		h.scaled(c.id, c.image, 0, c.annotations, u.hostID)
	}
}

func (h *Host) scaled(id, image string, n uint32, annotations *dict, hostID string) {
	o := newObject(h.lattice.scratch()).raw("annotations", annotations.json)
	if c := h.component(id); c != nil && c.claims != nil {
		o = o.key("claims")
		k := c.claims
		o = newObject(o).raw("call_alias", "null").str("issuer", k.Issuer).raw("tags", "null").orNull("name", k.Name).orNull("version", k.Version).
			num("revision", k.revision()).str("not_before_human", "never").str("expires_human", "never").end()
		o = o.str("public_key", k.Subject)
	}
	h.emit(lattice.ComponentScaled, o.str("component_id", id).str("host_id", hostID).str("image_ref", image).num("max_instances", int64(n)).end())
}

// scaleFailed tells of a failure; claims are those of an image that could be read.
func (h *Host) scaleFailed(s scale, claims *Claims, text string) {
	o := newObject(h.lattice.scratch()).raw("annotations", h.lattice.dict(s.annotations).json)
	if claims != nil {
		o = o.str("public_key", claims.Subject)
	}
	h.emit(lattice.ComponentScaleFailed, o.str("component_id", s.id).str("error", text).str("host_id", s.hostID).str("image_ref", s.ref).num("max_instances", int64(s.count)).end())
}

// auctionComponent bids where the constraints fit. Real hosts take the
// reference for the id, both in the check and in the bid.
func (h *Host) auctionComponent(r request) {
	a, err := decodeAuction("component", r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize component auction command", err)
		return
	}
	if h.cfg.NoAuctions || !h.fits(a.constraints) {
		return
	}
	h.componentTable.use(func() {
		if h.component(a.ref) == nil {
			h.bid(r, "component", a.ref, a.ref, a.constraints)
		}
	})
}

func (h *Host) fits(constraints map[string]string) bool {
	for k, v := range constraints {
		if have, ok := h.labels.m[k]; !ok || have != v {
			return false
		}
	}
	return true
}

func (h *Host) bid(r request, what, id, ref string, constraints map[string]string) {
	h.answer(r, newObject(nil).str(what+"_ref", ref).str(what+"_id", id).str("host_id", string(h.id)).
		raw("constraints", string(appendMap(nil, constraints))).end())
}

// badReference is the text for a reference nothing can be fetched by.
func badReference(ref string) string {
	if ref == "" {
		return "failed to fetch component under OCI reference ``: invalid reference format"
	}
	return ""
}

func withoutSecrets(config []string) []string {
	var out []string
	for _, name := range config {
		if !isSecret(name) {
			out = append(out, name)
		}
	}
	return out
}

func isSecret(name string) bool { return strings.HasPrefix(name, "SECRET") }

// limits is how the inventory shows limits: only readable ones, null without any.
func limits(m map[string]string) string {
	if m == nil {
		return ""
	}
	o := newObject(nil)
	for _, k := range []string{"max_memory_limit", "max_execution_time"} {
		if v, ok := m[k]; ok && decimal(v) {
			o = o.str(k, v)
		}
	}
	return string(o.end())
}

func decimal(s string) bool {
	return s != "" && len(s) < 20 && strings.Trim(s, "0123456789") == ""
}
