package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"wadm/loadtest/process"
)

// instance is one server under test with its way to NATS. It may be started
// many times; its methods are called by one goroutine at a time.
type instance struct {
	id      string
	binary  string
	args    []string
	env     []string
	proxies []*Proxy

	mu    sync.Mutex
	proc  *process.Process
	lives []*process.Process
	busy  map[part]bool // a fault has hold of it
	links int           // how many faults of links there were
	// wanted: when the process ends by itself it is started again, as a supervisor
	// would; fallen are those that did.
	wanted bool
	fallen []*process.Process
	watch  func(p *process.Process)
}

// commandDeadline of the instances. By default they give hosts minutes; the
// simulated ones need none.
const commandDeadline = 3 * time.Second

// newInstance prepares an instance whose proxies end with ctx.
func newInstance(ctx context.Context, wg *sync.WaitGroup, cfg Config, id string, servers *natsServers) (*instance, error) {
	in := &instance{id: id, binary: cfg.Binary, env: cfg.Env, busy: map[part]bool{}}
	in.watch = func(p *process.Process) {
		wg.Go(func() {
			select {
			case <-p.Ended():
			case <-ctx.Done():
				return
			}
			if in.endedByItself(p) && sleep(ctx, supervisorPause) {
				_ = in.start() // a fault that wants it down again kills it again
			}
		})
	}
	var urls []string
	for _, n := range servers.list {
		p, err := NewProxy(n.addr)
		if err != nil {
			return nil, err
		}
		in.proxies = append(in.proxies, p)
		urls = append(urls, p.Addr())
		wg.Go(func() { _ = p.Run(ctx) })
	}
	replicas := 1
	if cfg.Servers > 1 {
		replicas = 3
	}
	in.args = []string{
		"-s", strings.Join(urls, ","), "--instance-id", id, "--http-admin", "127.0.0.1:0", "--replicas", fmt.Sprint(replicas),
		// What a host did not answer is tried again within the run.
		"--command-deadline", commandDeadline.String(),
	}
	return in, nil
}

// start starts the process; it does nothing when one runs.
func (in *instance) start() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.proc != nil && in.proc.Running() {
		return nil
	}
	p, err := process.Start(process.Command{Path: in.binary, Args: in.args, Env: in.env})
	if err != nil {
		return err
	}
	in.proc, in.wanted = p, true
	in.lives = append(in.lives, p)
	in.watch(p)
	return nil
}

// supervisorPause is how long a process that ended by itself stays down.
const supervisorPause = 500 * time.Millisecond

func (in *instance) endedByItself(p *process.Process) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.proc != p || !in.wanted {
		return false
	}
	in.fallen = append(in.fallen, p)
	return true
}

func (in *instance) kill() {
	in.mu.Lock()
	p := in.proc
	in.wanted = false
	in.mu.Unlock()
	if p != nil {
		p.Kill()
	}
}

func (in *instance) signal(s os.Signal) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.proc != nil {
		_ = in.proc.Signal(s)
	}
}

// drain stops the process in order and returns its exit code.
func (in *instance) drain(ctx context.Context) (int, error) {
	in.mu.Lock()
	p := in.proc
	in.wanted = false
	in.mu.Unlock()
	in.signal(syscall.SIGTERM)
	if p == nil {
		return 0, nil
	}
	limit, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	return p.Wait(limit)
}

func (in *instance) setLink(l Link) {
	for _, p := range in.proxies {
		p.Set(l)
	}
}

// part is what a fault has hold of: the process of an instance, or its links.
type part int

const (
	ofProcess part = iota
	ofLinks
)

// parts are what a kind of fault needs for itself. What a stopped instance was
// about to send must not be held up on its way too: together that is more than the
// quarantine allows for.
func (k Kind) parts() []part {
	switch {
	case k == StopMidway:
		return []part{ofProcess, ofLinks}
	case k.ofLinks():
		return []part{ofLinks}
	default:
		return []part{ofProcess}
	}
}

// take reserves what a fault needs of the instance; false: another one has it.
func (in *instance) take(k Kind) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if slices.ContainsFunc(k.parts(), func(p part) bool { return in.busy[p] }) {
		return false
	}
	for _, p := range k.parts() {
		in.busy[p] = true
	}
	if k.ofLinks() {
		in.links++
	}
	return true
}

func (in *instance) leave(k Kind) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range k.parts() {
		in.busy[p] = false
	}
}

// linked counts the faults of links so far, and tells whether there is one now.
func (in *instance) linked() (n int, busy bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.links, in.busy[ofLinks]
}

// crashes looks for what no life of the instance may have written.
func (in *instance) crashes() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var bad []string
	for i, p := range in.lives {
		out := p.Output()
		for _, sign := range []string{"DATA RACE", "panic", "goroutine 1 ["} {
			if at := strings.Index(out, sign); at >= 0 {
				bad = append(bad, fmt.Sprintf("life %d of instance %s says %q:\n%s", i+1, in.id, sign, out[at:min(len(out), at+4000)]))
				break
			}
		}
	}
	return bad
}

// ends tells of lives that ended by themselves: no fault gives a reason for it.
func (in *instance) ends() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var bad []string
	for _, p := range in.fallen {
		code, err := p.Wait(context.Background()) // it has ended
		out := p.Output()
		bad = append(bad, fmt.Sprintf("end: instance %s ended by itself with %d, %v; log:\n%s", in.id, code, err, out[max(0, len(out)-2500):]))
	}
	return bad
}

// log is the end of what the newest life wrote.
func (in *instance) log(most int) string {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.proc == nil {
		return ""
	}
	out := in.proc.Output()
	return out[max(0, len(out)-most):]
}

var adminAddress = regexp.MustCompile(`admin endpoint is up.* address=(\S+)`)

// page reads a page of the admin endpoint.
func (in *instance) page(ctx context.Context, path string) (int, []byte, error) {
	in.mu.Lock()
	p := in.proc
	in.mu.Unlock()
	if p == nil {
		return 0, nil, fmt.Errorf("read page: %w", process.ErrEnded)
	}
	m, err := p.Await(ctx, adminAddress)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m[1]+path, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("read page: %w", err)
	}
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("read page: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only read from
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("read page: %w", err)
	}
	return res.StatusCode, body, nil
}

// ready waits until the instance takes its part.
func (in *instance) ready(ctx context.Context) error {
	last := ""
	for {
		status, body, err := in.page(ctx, "/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
		if err != nil {
			last = err.Error()
		} else {
			last = string(body)
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("instance %s is not ready: %w; last: %s", in.id, context.Cause(ctx), last)
		}
	}
}
