package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"wadm/scheduler"
	"wadm/scheduler/lattice"
)

// The bodies of the requests. Hosts refuse null where they want a list or a
// map, so every one is made non-nil.

type scaleBody struct {
	Image       string             `json:"component_ref"`
	ID          lattice.WorkloadID `json:"component_id"`
	Annotations map[string]string  `json:"annotations"`
	// Count is the limit of concurrent instances; 0 removes the component.
	Count  uint32         `json:"count"`
	Host   lattice.HostID `json:"host_id"`
	Config []string       `json:"config"`
	// AllowUpdate stays false: the host would report the new image while it runs the old one.
	AllowUpdate bool `json:"allow_update"`
}

type updateBody struct {
	ID          lattice.WorkloadID `json:"component_id"`
	Image       string             `json:"new_component_ref"`
	Host        lattice.HostID     `json:"host_id"`
	Annotations map[string]string  `json:"annotations"`
}

type startBody struct {
	ID          lattice.WorkloadID `json:"provider_id"`
	Image       string             `json:"provider_ref"`
	Host        lattice.HostID     `json:"host_id"`
	Config      []string           `json:"config"`
	Annotations map[string]string  `json:"annotations"`
}

type stopBody struct {
	Host lattice.HostID     `json:"host_id"`
	ID   lattice.WorkloadID `json:"provider_id"`
}

type unlinkBody struct {
	Source    lattice.WorkloadID `json:"source_id"`
	Name      string             `json:"name"`
	Namespace string             `json:"wit_namespace"`
	Package   string             `json:"wit_package"`
}

// Send asks for cmd and says what is known afterwards. A command whose names
// could not stand in a subject, or that lacks what its kind needs, is Refused
// without being sent.
func (c *Client) Send(ctx context.Context, claim scheduler.Claim, cmd lattice.Command) lattice.Reply {
	rest, body, err := encode(cmd)
	if err != nil {
		return lattice.Reply{Outcome: lattice.Refused, Message: fmt.Sprintf("not sent: %v", err)}
	}
	subject, err := c.subject(claim.Key, rest)
	if err != nil {
		return lattice.Reply{Outcome: lattice.Refused, Message: fmt.Sprintf("not sent: %v", err)}
	}
	m := &nats.Msg{Subject: subject, Data: body, Header: c.headers(ctx, claim.Epoch, cmd.TraceParent)}
	c.noteSent()
	r, err := c.ask(ctx, m, anyHost(cmd.Kind), func() error {
		c.noteSent()
		return claim.MayAct()
	})
	var refused errRefused
	switch {
	case err == nil && *r.Success:
		return lattice.Reply{Outcome: lattice.Accepted, Message: r.Message}
	case err == nil:
		return lattice.Reply{Outcome: lattice.Refused, Message: strings.TrimSpace(r.Message)}
	case errors.As(err, &refused):
		return lattice.Reply{Outcome: lattice.Refused, Message: refused.text}
	case errors.Is(err, errUnsent):
		return lattice.Reply{Outcome: lattice.Unsent, Message: err.Error()}
	case errors.Is(err, scheduler.ErrUndelivered):
		return lattice.Reply{Outcome: lattice.Undelivered, Message: err.Error()}
	default:
		return lattice.Reply{Outcome: lattice.Unknown, Message: err.Error()}
	}
}

// anyHost tells the commands that a queue group of all hosts answers. They are
// all idempotent.
func anyHost(k lattice.CommandKind) bool {
	switch k {
	case lattice.PutLink, lattice.DeleteLink, lattice.PutConfig, lattice.DeleteConfig:
		return true
	default:
		return false
	}
}

// encode gives the end of the subject and the body of a command.
func encode(cmd lattice.Command) (rest string, body []byte, err error) {
	var v any
	switch cmd.Kind {
	case lattice.ScaleComponent:
		rest, err = hostSubject("component.scale", cmd, cmd.Count > 0)
		v = scaleBody{
			Image: cmd.Image, ID: cmd.Workload, Annotations: mapOf(cmd.Annotations),
			Count: cmd.Count, Host: cmd.Host, Config: listOf(cmd.Config),
		}
	case lattice.UpdateComponent:
		rest, err = hostSubject("component.update", cmd, true)
		v = updateBody{ID: cmd.Workload, Image: cmd.Image, Host: cmd.Host, Annotations: mapOf(cmd.Annotations)}
	case lattice.StartProvider:
		rest, err = hostSubject("provider.start", cmd, true)
		v = startBody{
			ID: cmd.Workload, Image: cmd.Image, Host: cmd.Host,
			Config: listOf(cmd.Config), Annotations: mapOf(cmd.Annotations),
		}
	case lattice.StopProvider:
		rest, err = hostSubject("provider.stop", cmd, false)
		v = stopBody{Host: cmd.Host, ID: cmd.Workload}
	case lattice.PutLink:
		rest = "link.put"
		var l lattice.Link
		l, err = wholeLink(cmd.Link, true)
		v = l
	case lattice.DeleteLink:
		rest = "link.del"
		var l lattice.Link
		l, err = wholeLink(cmd.Link, false)
		v = unlinkBody{Source: l.Source, Name: l.Name, Namespace: l.Namespace, Package: l.Package}
	case lattice.PutConfig:
		rest = "config.put." + cmd.ConfigName
		err = checkConfig(cmd.ConfigName)
		v = mapOf(cmd.ConfigValue)
	case lattice.DeleteConfig:
		return "config.del." + cmd.ConfigName, nil, checkConfig(cmd.ConfigName)
	default:
		err = fmt.Errorf("unknown kind of command %q", clip(string(cmd.Kind)))
	}
	if err != nil {
		return "", nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	// Escapes for HTML would make a page of it six times as large.
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", nil, fmt.Errorf("encode %s: %w", cmd.Kind, err)
	}
	return rest, bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// hostSubject checks what every command to one host needs.
func hostSubject(verb string, cmd lattice.Command, image bool) (string, error) {
	if err := checkHost(cmd.Host); err != nil {
		return "", err
	}
	if strings.TrimSpace(string(cmd.Workload)) == "" {
		return "", fmt.Errorf("%s: the id of the workload is missing", cmd.Kind)
	}
	if image && strings.TrimSpace(cmd.Image) == "" {
		return "", fmt.Errorf("%s: the image is missing", cmd.Kind)
	}
	return verb + "." + string(cmd.Host), nil
}

func wholeLink(l *lattice.Link, target bool) (lattice.Link, error) {
	if l == nil {
		return lattice.Link{}, errors.New("the link is missing")
	}
	out := *l
	if out.Name == "" {
		out.Name = "default"
	}
	switch {
	case strings.TrimSpace(string(out.Source)) == "":
		return lattice.Link{}, errors.New("the source of the link is missing")
	case target && strings.TrimSpace(string(out.Target)) == "":
		return lattice.Link{}, errors.New("the target of the link is missing")
	case strings.TrimSpace(out.Namespace) == "", strings.TrimSpace(out.Package) == "":
		return lattice.Link{}, errors.New("the interface of the link is missing")
	}
	out.Interfaces = listOf(out.Interfaces)
	out.SourceConfig = listOf(out.SourceConfig)
	out.TargetConfig = listOf(out.TargetConfig)
	return out, nil
}

func listOf(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

func mapOf(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
