package core_test

import (
	"bytes"
	"testing"
	"time"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

func TestASnapshotWithoutHostsIsStaleForNoHost(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_764_035_000, 0)
	st := core.New(core.Config{})
	if _, err := st.Start(nil, nil, now); err != nil {
		t.Fatal(err)
	}
	join := func(host lattice.HostID) core.Decision {
		now = now.Add(time.Second)
		st.HostsListed([]lattice.HostID{host}, now)
		return st.InventoryRead(lattice.Inventory{Host: host, Version: "1.9.2"}, now)
	}
	if d := join("NFIRST"); !d.Stale {
		t.Error("a new host does not make the snapshot stale")
	}
	if !bytes.Contains(st.Snapshot(), []byte("NFIRST")) {
		t.Error("the host is not in the snapshot")
	}
	st.OmitHosts()
	if d := join("NSECOND"); d.Stale {
		t.Error("a host makes a snapshot stale that leaves hosts out")
	}
	if b := st.Snapshot(); bytes.Contains(b, []byte("NFIRST")) || bytes.Contains(b, []byte("NSECOND")) {
		t.Errorf("hosts are in the snapshot: %s", b)
	}
}

// TestAFirstDeployStoresWhatIsOursAtOnce: what the hosts run may be told as it was,
// except that no host may be missing.
func TestAFirstDeployStoresWhatIsOursAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, 0, 0, 0)
	f.core.Snapshot()
	deploy := func(name string, apps map[string]*manifest.Manifest) core.Decision {
		f.now = f.now.Add(time.Second)
		apps[name] = simple("web:1", 1)
		d, err := f.core.Desired(apps, f.now)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Commands) == 0 || !bytes.Contains(d.State, []byte(name)) || !bytes.Contains(d.State, []byte(hostID(0))) {
			t.Errorf("%d commands go with the snapshot %s", len(d.Commands), d.State)
		}
		f.obey(d)
		return d
	}
	apps := map[string]*manifest.Manifest{}
	deploy("first", apps)
	if d := deploy("second", apps); !d.Stale || bytes.Contains(d.State, []byte("first-web")) {
		t.Errorf("hosts told anew (stale %v): %s", d.Stale, d.State)
	}
	if b := f.core.Snapshot(); !bytes.Contains(b, []byte("first-web")) || !bytes.Contains(b, []byte("second-web")) {
		t.Errorf("hosts not told anew: %s", b)
	}
	f.obey(f.core.Event(f.event(7, lattice.HostStarted, map[string]any{"friendly_name": "new", "labels": map[string]string{}, "version": "1.9.2"}), f.now))
	if d := deploy("third", apps); !bytes.Contains(d.State, []byte(hostID(7))) {
		t.Errorf("the new host is missing: %s", d.State)
	}
}

// TestTwoCommandsInDoubtForOneTargetLeaveNothingBehind: the note of the first one's
// outcome may get lost.
func TestTwoCommandsInDoubtForOneTargetLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.addHost("a", nil)
	w.run(time.Second)
	doubtful := func(id, app string, count uint32) {
		w.ledger[id] = lattice.Command{ID: id, Kind: lattice.ScaleComponent, Host: "a", Workload: "x", Image: "web:1", Count: count, App: app, SentAt: w.now,
			Annotations: map[string]string{lattice.AnnotationManagedBy: "wadm", lattice.AnnotationApp: app, lattice.AnnotationSpread: "default"}}
	}
	w.snapshot = []byte(`{"apps":["one"]}`)
	doubtful("t.1", "one", 0)
	doubtful("t.2", "two", 1)
	w.boot()
	w.run(10 * time.Minute)
	if x := w.core.Explain("one", w.now); x.Status.Type != tenancy.StatusUndeployed || len(x.Left) > 0 {
		t.Errorf("%+v", x)
	}
	if len(w.ledger) > 0 {
		t.Errorf("still in doubt: %v", w.ledger)
	}
}
