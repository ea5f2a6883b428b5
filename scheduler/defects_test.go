package scheduler_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"wadm/scheduler"
	"wadm/scheduler/lattice"
	"wadm/tenancy/manifest"
)

// TestDefects has a test for each defect of upstream in how events, commands and
// deploys are handed on that no other test of this package rules out;
// docs/reference/defects.md has them all.
func TestDefects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){
		"D-31": aDeployNobodyHeardOfIsDone,
		"D-32": manifestEventsDecideNothing,
		"D-34": aSlowHostIsAskedOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}
}

// aDeployNobodyHeardOfIsDone: the catalog changes, no word of it arrives and no
// event of the lattice either.
func aDeployNobodyHeardOfIsDone(t *testing.T) {
	p := newPorts()
	later := p.apps
	p.apps = map[string]*manifest.Manifest{}
	done, cancel := own(t, p, scheduler.Claim{})
	synctest.Wait()
	if p.count("send") != 0 {
		t.Fatalf("before the deploy: %v", p.calls)
	}
	p.mu.Lock()
	p.apps = later
	p.mu.Unlock()
	time.Sleep(4 * time.Minute)
	synctest.Wait()
	if p.count("send") == 0 {
		t.Errorf("four minutes after the deploy: %v", p.calls)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// manifestEventsDecideNothing: what an old or a forged event says about a
// manifest is not what the catalog says.
func manifestEventsDecideNothing(t *testing.T) {
	p := newPorts()
	p.apps = map[string]*manifest.Manifest{}
	done, cancel := own(t, p, scheduler.Claim{})
	synctest.Wait()
	const old = `{"specversion":"1.0","id":"1","type":"com.wadm.manifest_%s","source":"wadm","datacontenttype":"application/json","time":%q,"data":%s}`
	now := time.Now().Format(time.RFC3339Nano)
	acked := 0
	for kind, data := range map[string]string{
		"published":   `{"apiVersion":"v1","kind":"Application","metadata":{"name":"shop","annotations":{"version":"v0"}},"spec":{"components":[{"name":"web","type":"component","properties":{"image":"web:0"},"traits":[{"type":"spreadscaler","properties":{"instances":1}}]}]}}`,
		"unpublished": `{"name":"shop"}`,
	} {
		p.events <- scheduler.Delivery{Data: fmt.Appendf(nil, old, kind, now, data), Ack: func() { acked++ }}
		synctest.Wait()
	}
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	if p.count("send") != 0 || acked != 2 {
		t.Errorf("%d acknowledged, %v", acked, p.calls)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// aSlowHostIsAskedOnce: an answer that takes longer than any acknowledgement may
// holds up neither the event nor the ones after it, and nothing is asked twice.
func aSlowHostIsAskedOnce(t *testing.T) {
	p := newPorts()
	p.send = func(lattice.Command) lattice.Reply {
		time.Sleep(40 * time.Second)
		return lattice.Reply{Outcome: lattice.Accepted}
	}
	done, cancel := own(t, p, scheduler.Claim{})
	synctest.Wait()
	for i := range 3 {
		began := time.Now()
		var waited time.Duration
		p.events <- scheduler.Delivery{Data: heartbeat(t), Ack: func() { waited = time.Since(began); p.note("ack") }}
		synctest.Wait()
		if p.count("ack") != i+1 || waited > 0 {
			t.Errorf("heartbeat %d was acknowledged after %v: %v", i, waited, p.calls)
		}
		time.Sleep(10 * time.Second)
	}
	time.Sleep(time.Minute)
	if n := p.count("send"); n != 1 {
		t.Errorf("the host was asked %d times", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
