package simhost

import "time"

// timer runs fn after d unless the host is gone by then.
func (h *Host) timer(d time.Duration, fn func()) {
	h.lattice.arm(timer{at: h.lattice.now() + int64(d), host: h, incarnation: h.incarnation, fn: fn})
}

// after runs fn after d, or once the host does anything again.
func (h *Host) after(d time.Duration, fn func()) {
	if d <= 0 {
		h.do(fn)
		return
	}
	h.timer(d, func() { h.do(fn) })
}

func (h *Host) do(fn func()) {
	if h.mutes > 0 {
		h.deferred = append(h.deferred, fn)
		return
	}
	fn()
}

// resume catches up once the host may speak and hear again.
func (h *Host) resume() {
	if h.stalls == 0 {
		h.flushOutbox()
	}
	for h.alive && h.mutes == 0 && len(h.deferred) > 0 {
		fn := h.deferred[0]
		h.deferred = h.deferred[1:]
		fn()
	}
	if h.alive {
		h.flushBeats()
	}
	for h.alive && h.mutes == 0 && h.stalls == 0 && len(h.held) > 0 {
		r := h.held[0]
		h.held = h.held[1:]
		h.handle(r)
	}
}

// table is one of the host's two tables. Whoever changes it holds it over the
// time that takes; all others, readers too, wait in line.
type table struct {
	held    bool
	waiting []func()
}

// use runs fn once the table is free. fn may hold it.
func (t *table) use(fn func()) {
	if t.held {
		t.waiting = append(t.waiting, fn)
		return
	}
	fn()
}

func (t *table) hold() { t.held = true }

func (t *table) release() {
	t.held = false
	for !t.held && len(t.waiting) > 0 {
		fn := t.waiting[0]
		t.waiting = t.waiting[1:]
		fn()
	}
}

// readTables runs fn while neither table is held.
func (h *Host) readTables(fn func()) {
	h.componentTable.use(func() {
		if !h.providerTable.held {
			fn()
			return
		}
		h.providerTable.use(func() { h.readTables(fn) })
	})
}

// fetch gets an image, or fails to, and runs fn with how it behaves. An image
// that is never fetched never gets there.
func (h *Host) fetch(ref string, fn func(Image)) {
	img := h.lattice.cfg.Images(ref)
	if img.NeverFetched {
		return
	}
	d := img.Fetch
	if h.fetched[ref] {
		d = 0
	}
	h.after(d, func() {
		if d > 0 && img.FetchError == "" {
			if h.fetched == nil {
				h.fetched = map[string]bool{}
			}
			h.fetched[ref] = true
		}
		fn(img)
	})
}
