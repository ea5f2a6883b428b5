package chaos

import (
	"strings"
	"testing"
	"time"

	"wadm/loadtest/process"
	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
	"wadm/shard"
)

// begin is when made-up records begin.
var begin = time.Unix(1000, 0)

func at(seconds float64) time.Time {
	return begin.Add(time.Duration(seconds * float64(time.Second)))
}

// fault is one that began and ended so many seconds after begin.
func fault(k Kind, from, to float64) happened {
	return happened{Fault: Fault{Kind: k}, from: at(from), to: at(to)}
}

// cutOff says which instances a fault hit.
func cutOff(d happened, ids ...shard.MemberID) happened {
	d.cutOff = ids
	return d
}

// expect compares violations with what each of them must contain.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d violations, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, w := range want {
		if !strings.Contains(got[i], w) {
			t.Errorf("violation %d is %q, want %q in it", i, got[i], w)
		}
	}
}

// scale is a command as an owner stores it, scaled the request that arrives.
func scale(host string, n uint32) lattice.Command {
	return lattice.Command{Kind: lattice.ScaleComponent, Host: lattice.HostID(host), Workload: "web", Count: n}
}

func scaled(epoch uint64, by, host, count string) simhost.Record {
	return simhost.Record{
		Time: at(10), Host: lattice.HostID(host), Kind: "component.scale", Subject: "wasmbus.ctl.v1.l.component.scale." + host,
		Body: []byte(`{"component_id":"web","count":` + count + `}`), Epoch: epoch, Instance: by,
	}
}

func linked(verb string) simhost.Record {
	return simhost.Record{
		Time: at(10), Host: "whoever", Kind: "link." + verb, Subject: "wasmbus.ctl.v1.l.link." + verb,
		Body: []byte(`{"source_id":"http","target":"web","name":"default","wit_namespace":"wasi","wit_package":"http"}`), Epoch: 5, Instance: "i1",
	}
}

func configured(name string) simhost.Record {
	return simhost.Record{Time: at(10), Host: "whoever", Kind: "config.put", Subject: "wasmbus.ctl.v1.l.config.put." + name, Epoch: 5, Instance: "i1"}
}

func TestJudgeFindsEveryEffectThatWasNotStored(t *testing.T) {
	t.Parallel()
	link := lattice.Command{Kind: lattice.PutLink, Link: &lattice.Link{Source: "http", Target: "web", Namespace: "wasi", Package: "http"}}
	config := lattice.Command{Kind: lattice.PutConfig, ConfigName: "address"}
	for name, tc := range map[string]struct {
		stored []lattice.Command
		asked  []simhost.Record
		done   []happened
		want   []string
	}{
		"all stored": {
			stored: []lattice.Command{scale("a", 1), scale("b", 1), link, config},
			asked:  []simhost.Record{scaled(5, "i1", "b", "1"), scaled(5, "i1", "a", "1"), linked("put"), configured("address")},
		},
		"nothing stored": {
			asked: []simhost.Record{scaled(5, "i1", "a", "1")},
			want:  []string{"without a stored intent"},
		},
		"another host": {
			stored: []lattice.Command{scale("b", 1)},
			asked:  []simhost.Record{scaled(5, "i1", "a", "1")},
			want:   []string{"without a stored intent"},
		},
		"another count": {
			stored: []lattice.Command{scale("a", 1)},
			asked:  []simhost.Record{scaled(5, "i1", "a", "0")},
			want:   []string{"without a stored intent"},
		},
		"another verb": {
			stored: []lattice.Command{link},
			asked:  []simhost.Record{linked("del")},
			want:   []string{"without a stored intent"},
		},
		"another configuration": {
			stored: []lattice.Command{config},
			asked:  []simhost.Record{configured("port")},
			want:   []string{"without a stored intent"},
		},
		"stored in another epoch": {
			stored: []lattice.Command{scale("a", 1)},
			asked:  []simhost.Record{scaled(7, "i2", "a", "1")},
			want:   []string{"without a stored intent"},
		},
		"stored once, asked twice": {
			stored: []lattice.Command{scale("a", 1)},
			asked:  []simhost.Record{scaled(5, "i1", "a", "1"), scaled(5, "i1", "a", "1")},
			want:   []string{"once more than it was stored"},
		},
		"stored twice, asked twice": {
			stored: []lattice.Command{scale("a", 1), scale("a", 1)},
			asked:  []simhost.Record{scaled(5, "i1", "a", "1"), scaled(5, "i1", "a", "1")},
		},
		"any host may be asked again, but once": {
			stored: []lattice.Command{link},
			asked:  []simhost.Record{linked("put"), linked("put"), linked("put")},
			want:   []string{"once more than it was stored"},
		},
		"trouble of NATS does not excuse it": {
			asked: []simhost.Record{scaled(5, "i1", "a", "1")},
			done:  []happened{fault(NATSKill, 9, 11)},
			want:  []string{"without a stored intent"},
		},
		"of another instance": {
			stored: []lattice.Command{scale("a", 1)},
			asked:  []simhost.Record{scaled(5, "i2", "a", "1")},
			want:   []string{"under epoch 5 of i1"},
		},
		"no claim": {
			asked: []simhost.Record{scaled(6, "i1", "a", "1")},
			want:  []string{"which is no claim", "without a stored intent"},
		},
		"no claim, long after trouble of NATS": {
			asked: []simhost.Record{scaled(6, "i1", "a", "1")},
			done:  []happened{fault(NATSKill, 1, 4), fault(Cut, 1, 20)},
			want:  []string{"which is no claim", "without a stored intent"},
		},
		"a claim that may have passed unseen": {
			asked: []simhost.Record{scaled(6, "i1", "a", "1")},
			done:  []happened{fault(NATSKill, 1, 8)},
			want:  []string{"without a stored intent"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, k := NewLedger(), shard.Key("t.l")
			held := func(seq uint64, by shard.MemberID) {
				l.Claim(Claim{Key: k, Seq: seq, Conditional: true, Record: shard.Record{Owner: by, State: shard.Held}})
			}
			held(5, "i1")
			l.Write(Write{Key: k, Seq: 6, Fence: 5, Epoch: 5, Commands: tc.stored})
			held(7, "i2")
			expect(t, judgeCommands(k, tc.asked, l, NewWire(), tc.done), tc.want...)
		})
	}
}

func TestJudgeExpectsNoMoveWhileNoInstanceIsInTrouble(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		servers int
		done    []happened
		moves   int // expected violations of a lattice that moves 100 s after begin
	}{
		"before the first fault":            {1, []happened{fault(NATSKill, 101, 102)}, 0},
		"NATS only":                         {1, []happened{fault(NATSKill, 90, 91), fault(NATSRestart, 95, 96), fault(NATSStop, 98, 99)}, 1},
		"hosts only":                        {1, []happened{fault(Busy, 95, 99), fault(Backlog, 96, 96), fault(Churn, 97, 98)}, 1},
		"a server of several halts":         {3, []happened{cutOff(fault(NATSStop, 98, 99), "i1")}, 0},
		"one that nobody is connected to":   {3, []happened{fault(NATSStop, 98, 99)}, 1},
		"all servers die":                   {3, []happened{fault(NATSAll, 98, 99)}, 1},
		"commands are cut off":              {1, []happened{{Fault: Fault{Kind: Cut, Of: CommandsOnly}, from: at(98), to: at(99)}}, 1},
		"the rest is cut off":               {1, []happened{{Fault: Fault{Kind: Cut, Of: MainOnly}, from: at(98), to: at(99)}}, 0},
		"a server of several dies":          {3, []happened{fault(NATSKill, 98, 99)}, 1},
		"an instance is killed":             {1, []happened{fault(Kill, 99, 101)}, 0},
		"an instance was killed before":     {1, []happened{fault(Kill, 80, 85), fault(NATSKill, 95, 96)}, 0},
		"an instance was killed beside":     {1, []happened{fault(NATSKill, 95, 96), fault(Kill, 97, 98), fault(Busy, 98, 99)}, 0},
		"an instance was killed long since": {1, []happened{fault(Kill, 1, 5), fault(NATSKill, 95, 96)}, 1},
		"one that comes back late":          {1, []happened{fault(Stop, 1, 12), fault(NATSKill, 95, 96)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := &Report{Kinds: map[Kind]*KindReport{}}
			for _, d := range tc.done {
				rep.Kinds[d.Kind] = &KindReport{}
			}
			r := &runner{cfg: Config{Servers: tc.servers}, ended: at(200)}
			claim := func(seq uint64, by shard.MemberID, s shard.ClaimState, reason string, when float64) Claim {
				return Claim{Key: "t.l", Seq: seq, At: at(when), Record: shard.Record{Owner: by, State: s, Reason: reason}}
			}
			r.judgeMoves(rep, tc.done, []Claim{
				claim(1, "i1", shard.Held, "free", 0), claim(2, "i1", shard.Held, "again", 99.5), claim(3, "i2", shard.Held, "take-over", 100),
				// How everybody leaves is no movement.
				claim(4, "i3", shard.Held, "free", 201),
			})
			want := make([]string, tc.moves)
			for i := range want {
				want[i] = "I6: t.l moved from i1 to i2 at 3"
			}
			expect(t, rep.Violations, want...)

			// An undeployed lattice has no owner to move from.
			rep.Violations = nil
			r.judgeMoves(rep, tc.done, []Claim{
				claim(1, "i1", shard.Held, "free", 0), claim(2, "i1", shard.Released, "left", 50), claim(3, "i2", shard.Held, "free", 100),
			})
			expect(t, rep.Violations)
		})
	}
}

func TestJudgeExpectsThatNobodyIsGivenUpForOthers(t *testing.T) {
	t.Parallel()
	member := func(id shard.MemberID, life shard.Incarnation) shard.ViewMember {
		return shard.ViewMember{ID: id, Incarnation: life}
	}
	all := shard.View{Rev: 1, Members: []shard.ViewMember{member("i1", "a"), member("i2", "b"), member("x1", "c")}}
	lost := shard.View{Rev: 2, Members: []shard.ViewMember{member("i1", "a"), member("x1", "c")}}
	restarted := shard.View{Rev: 2, Members: []shard.ViewMember{member("i1", "a"), member("i2", "d"), member("x1", "c")}}
	left := shard.View{Rev: 2, Members: []shard.ViewMember{member("i1", "a"), member("i2", "b")}}
	for name, tc := range map[string]struct {
		after shard.View
		done  []happened
		want  int
	}{
		"nobody is given up":             {shard.View{Rev: 2, Members: all.Members}, nil, 0},
		"nothing happened":               {lost, nil, 1},
		"it crashed":                     {lost, []happened{cutOff(fault(Kill, 98, 99), "i2")}, 0},
		"it was started again":           {restarted, []happened{cutOff(fault(Kill, 98, 99), "i2")}, 0},
		"another one crashed":            {lost, []happened{cutOff(fault(Kill, 98, 99), "i1")}, 1},
		"another one crashed, lives":     {restarted, []happened{cutOff(fault(Kill, 98, 99), "i1")}, 1},
		"it crashed long since":          {lost, []happened{cutOff(fault(Kill, 1, 2), "i2")}, 1},
		"its server halted":              {lost, []happened{cutOff(fault(NATSStop, 98, 99), "i2")}, 0},
		"another one's server halted":    {lost, []happened{cutOff(fault(NATSStop, 98, 99), "i1")}, 1},
		"its server died":                {lost, []happened{fault(NATSKill, 98, 99)}, 1},
		"a new one leaves":               {left, []happened{fault(Burst, 90, 99)}, 0},
		"an old one leaves with the new": {lost, []happened{fault(Burst, 90, 99)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &runner{cfg: Config{Servers: 3}}
			want := make([]string, tc.want)
			for i := range want {
				want[i] = "gives up i2, to which nothing was done"
			}
			expect(t, r.judgeViews(tc.done, []shard.View{all, tc.after}, []time.Time{at(0), at(100)}), want...)
		})
	}
}

func TestJudgeExpectsNothingOfAnotherRing(t *testing.T) {
	t.Parallel()
	fine := shard.View{Rev: 1, Proposer: "i1", Members: []shard.ViewMember{{ID: "i1"}}}
	let := shard.View{Rev: 2, Proposer: "i1", Members: []shard.ViewMember{{ID: "i1"}, {ID: "odd1"}}}
	made := shard.View{Rev: 3, Proposer: "odd1", Members: fine.Members}
	expect(t, judgeOdd([]shard.View{fine, let, made}, []Claim{
		{Key: "t.l", Seq: 4, Record: shard.Record{Owner: "i1"}}, {Key: "t.l", Seq: 5, Record: shard.Record{Owner: "odd1"}},
	}), "part in view 2", "part in view 3", "odd1, whose ring is another, claimed it at 5")
}

func TestJudgeExpectsNoWaitBesideHostsThatAreNotWell(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		done   []happened
		sample Sample
		want   int
	}{
		"its own hosts":          {[]happened{fault(Busy, 9, 12)}, Sample{"t.l", at(10), 3 * time.Second, true}, 0},
		"quick enough":           {[]happened{fault(Busy, 9, 12)}, Sample{"t.l", at(10), 100 * time.Millisecond, false}, 0},
		"busy hosts":             {[]happened{fault(Busy, 9, 12)}, Sample{"t.l", at(10), 2 * time.Second, false}, 1},
		"a backlog":              {[]happened{fault(Backlog, 9, 9)}, Sample{"t.l", at(10), 2 * time.Second, false}, 1},
		"lattices come and go":   {[]happened{fault(Churn, 9, 10)}, Sample{"t.l", at(10), 2 * time.Second, false}, 1},
		"beside a crash":         {[]happened{fault(Kill, 8, 9), fault(Busy, 9, 12)}, Sample{"t.l", at(10), 2 * time.Second, false}, 0},
		"a crash long since":     {[]happened{fault(Kill, -30, -25), fault(Busy, 9, 12)}, Sample{"t.l", at(10), 2 * time.Second, false}, 1},
		"before the first fault": {[]happened{fault(Busy, 19, 22)}, Sample{"t.l", at(10), 2 * time.Second, false}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := &Report{Kinds: map[Kind]*KindReport{}}
			for _, d := range tc.done {
				rep.Kinds[d.Kind] = &KindReport{}
			}
			new(runner).judgeGaps(rep, tc.done, []Sample{tc.sample}, nil)
			want := make([]string, tc.want)
			for i := range want {
				want[i] = "I10: t.l waited 2s"
			}
			expect(t, rep.Violations, want...)
		})
	}
}

func TestFaultsExcuseForAsLongAsTheyAreFelt(t *testing.T) {
	t.Parallel()
	done := []happened{fault(Kill, 10, 12), fault(Busy, 20, 21)}
	for when, want := range map[float64]bool{9.9: true, 10: false, 15: false, 50: false, 51.1: true} {
		if got := undisturbed(done, at(when)); got != want {
			t.Errorf("undisturbed after %v s is %t", when, got)
		}
	}
}

func TestAnInstanceThatEndsByItselfIsAViolation(t *testing.T) {
	t.Parallel()
	start := func(script string) *process.Process {
		p, err := process.Start(process.Command{Path: "/bin/sh", Args: []string{"-c", script}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		return p
	}
	in := &instance{id: "i1", wanted: true}
	in.proc = start("exec cat /dev/zero >/dev/null")
	killed := in.proc
	in.kill()
	if in.endedByItself(killed) {
		t.Error("one that was killed counts as ended by itself")
	}
	expect(t, in.ends())

	in.proc, in.wanted = start("echo the last word; exit 3"), true
	<-in.proc.Ended()
	if !in.endedByItself(in.proc) {
		t.Error("not taken for ended by itself")
	}
	expect(t, in.ends(), "instance i1 ended by itself with 3, <nil>; log:\nthe last word")
}
