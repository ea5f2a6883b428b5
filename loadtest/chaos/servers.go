package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"wadm/config/natsconn"
	"wadm/config/natsconn/embedded"
	"wadm/loadtest/process"
)

// NATSVariable names the environment variable that says which NATS server a
// process has to be.
const NATSVariable = "WADM_CHAOS_NATS"

// natsSpec is what a NATS server's process is told.
type natsSpec struct {
	Port   int    `json:"port"`
	Store  string `json:"store"`
	Config string `json:"config,omitempty"`
}

// ServeNATS runs the NATS server that a value of [NATSVariable] describes until
// ctx ends.
func ServeNATS(ctx context.Context, value string) error {
	var spec natsSpec
	if err := json.Unmarshal([]byte(value), &spec); err != nil {
		return fmt.Errorf("serve NATS: %w", err)
	}
	s, err := embedded.Start(embedded.Config{Port: spec.Port, StoreDir: spec.Store, ConfigFile: spec.Config})
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.Stop()
	return nil
}

// natsServer is one NATS server, running or not.
type natsServer struct {
	name    string
	command process.Command
	addr    string
	proc    *process.Process
}

// natsServers are all servers of a run, and the connection everything but the
// instances uses.
type natsServers struct {
	list []*natsServer
}

// newNATSServers prepares n servers with fixed addresses.
func newNATSServers(command process.Command, dir string, n int) (*natsServers, error) {
	clients, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	routes, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, p := range routes {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	s := &natsServers{}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		spec := natsSpec{Port: clients[i], Store: filepath.Join(dir, name)}
		if n > 1 {
			// Clients must not learn the servers' own addresses: they go through proxies.
			text := fmt.Sprintf("server_name: %s\ncluster { name: chaos, listen: \"127.0.0.1:%d\", no_advertise: true, routes: [%s] }\n",
				name, routes[i], strings.Join(all, ", "))
			spec.Config = filepath.Join(dir, name+".conf")
			if err := os.WriteFile(spec.Config, []byte(text), 0o600); err != nil {
				return nil, fmt.Errorf("configure NATS server: %w", err)
			}
		}
		value, err := json.Marshal(spec)
		if err != nil {
			return nil, fmt.Errorf("configure NATS server: %w", err)
		}
		c := command
		c.Env = append(append([]string(nil), c.Env...), NATSVariable+"="+string(value))
		s.list = append(s.list, &natsServer{name: name, command: c, addr: fmt.Sprintf("127.0.0.1:%d", clients[i])})
	}
	return s, nil
}

// freePorts finds ports nobody listens on now.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = ln.Close() }() // a port that stays taken shows when it is used
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (s *natsServers) url() string {
	var all []string
	for _, n := range s.list {
		all = append(all, n.addr)
	}
	return strings.Join(all, ",")
}

// start starts all servers and waits until they take connections and, several of
// them, have JetStream in common.
func (s *natsServers) start(ctx context.Context) error {
	for _, n := range s.list {
		if err := n.start(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	nc, err := natsconn.Connect(ctx, natsconn.Config{Server: s.url(), Name: "chaos start"}, nil)
	if err != nil {
		return err
	}
	defer nc.Close()
	for {
		// Servers without a common view do not answer at all.
		limit, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := nc.JetStream().AccountInfo(limit)
		cancel()
		if err == nil {
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return errors.Join(fmt.Errorf("await JetStream: %w", context.Cause(ctx)), err)
		}
	}
}

func (s *natsServers) stop() {
	for _, n := range s.list {
		if n.proc != nil {
			n.proc.Kill()
		}
	}
}

func (n *natsServer) start() error {
	p, err := process.Start(n.command)
	if err != nil {
		return err
	}
	n.proc = p
	return nil
}

// stop ends the server in order, or at once when that takes long.
func (n *natsServer) stop(ctx context.Context) {
	_ = n.proc.Signal(syscall.SIGTERM)
	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := n.proc.Wait(limit); err != nil {
		n.proc.Kill()
	}
}

// sleep waits for d; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
