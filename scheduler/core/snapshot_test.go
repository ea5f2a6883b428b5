package core_test

import (
	"bytes"
	"testing"
	"time"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
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
