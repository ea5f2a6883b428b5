package core_test

import (
	"testing"
	"time"

	"wadm/scheduler/lattice"
)

// TestALateFailureIsNotThatOfTheNextCommand: what a host says about an earlier try
// may arrive after the next one has been sent.
func TestALateFailureIsNotThatOfTheNextCommand(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.addHost("a", nil)
	w.images["web:1"] = image{fetch: 10 * time.Second}
	w.run(20 * time.Second)
	w.apps["shop"] = simple("web:1", 2)
	w.desired()
	w.run(5 * time.Second)
	h.skew = -8 * time.Second
	w.emit(h, lattice.ComponentScaleFailed, map[string]any{"component_id": "shop-web", "image_ref": "web:1", "max_instances": 2, "host_id": h.id, "error": "no such image"})
	h.skew = 0
	w.run(time.Minute)
	if w.sent != 1 {
		t.Errorf("%d commands, want 1\n%s", w.sent, w.told())
	}
}
