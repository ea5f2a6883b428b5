// Package simhost simulates the hosts of a wasmCloud lattice, thousands in one
// process, as strict and as odd as real 1.9.2 hosts on the wire: same subjects,
// texts, event order and quirks, checked against recordings of real ones.
//
// A Lattice is the set of hosts of one lattice name together with what they
// share: links, configurations, claims. Hosts speak over the connection given
// to New; one connection serves any number of lattices and hosts. A host that
// is gone is unsubscribed, so that requests to it fail with "no responders".
//
//	l, err := simhost.New(nc, "default", simhost.Config{Seed: 1})
//	defer l.Close()
//	h, err := l.AddHost(simhost.HostConfig{Labels: map[string]string{"zone": "a"}})
//	// … let the scheduler work …
//	err = l.WaitFor(ctx, func() bool { return l.Instances("hello_world-http")[h.ID()] == 2 })
//	if v := l.Violations(); len(v) > 0 { … }
//
// What a test can do to hosts: Stop (says goodbye), Kill (says nothing),
// Restart, Mute (busy: silent, then everything at once), Relabel,
// RemoveComponent and RemoveProvider (an operator's hand), StartComponent and
// StartProvider (work of somebody else), SetProviderHealth. What images do is
// answered by Config.Images: slow to fetch, slow to compile, broken, endless.
// What the network does at random is Config.Faults; what becomes of one certain
// command is Config.Fate.
//
// What a test can see: Commands lists every command that wanted to change
// something, with epoch, instance and trace; OnCommand sees them as they are
// answered; Violations lists what no scheduler may do: effects of an older epoch
// after a newer, two instances in one epoch, work of others touched, another
// image scaled onto a running component, unreadable requests. Instances,
// Providers, Links, Configs and Host.Inventory show the state the hosts are in,
// Host.Code what really runs behind the reference a host reports.
//
// Guarantees: commands are handled one at a time in order of arrival; all
// randomness comes from Config.Seed; one goroutine and one timer per Lattice;
// Close returns after that goroutine ended. Time is the process's, so a
// testing/synctest bubble works, with a server in the same bubble.
//
// Not simulated: the KV buckets (the shared store is in memory, so real hosts
// cannot join), provider RPC subjects, secrets backends, the policy service.
package simhost
