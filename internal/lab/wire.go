package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// The supervisor and its callers speak over a unix socket of packets. The
// caller sends one Request, and with it its standard input, output and error;
// the supervisor does the work on these very files, so that terminals and
// pipes behave, and answers with one reply when it is done.
//
//	caller                             supervisor
//	  │ Request + three files (SCM_RIGHTS) ──► runs it, on the caller's files
//	  │ signalled (any number) ──────────────► the program's process group
//	  │ ◄──────────────────────────────────── reply: exit status
//	  │ closes before the reply ─────────────► the program is hung up on

// Verb is what a caller wants.
type Verb string

// The verbs.
const (
	VerbStatus  Verb = "status"  // print the lab's state; Args: "json" for JSON
	VerbExec    Verb = "exec"    // run Args in Place
	VerbKubectl Verb = "kubectl" // run kubectl with Args
	VerbReboot  Verb = "reboot"  // power Place off for Pause, and on again
	VerbPower   Verb = "power"   // Args: "on" or "off"
	VerbLogs    Verb = "logs"    // print the log of Place; Args: a container
	VerbDown    Verb = "down"    // end the lab
)

// Request is one call.
type Request struct {
	Verb  Verb     `json:"verb"`
	Place string   `json:"place,omitempty"`
	Args  []string `json:"args,omitempty"`
	// Pause is how long a reboot leaves the node without power.
	Pause time.Duration `json:"pause,omitempty"`
	// Follow goes on printing what a log gains.
	Follow bool `json:"follow,omitempty"`
	// Dir and Env are the caller's working directory and environment.
	Dir string   `json:"dir,omitempty"`
	Env []string `json:"env,omitempty"`
}

// signalled is a signal for what runs.
type signalled struct {
	Signal int `json:"signal"`
}

// reply ends a call.
type reply struct {
	Status int    `json:"status"`          // exit status of what ran
	Error  string `json:"error,omitempty"` // why it did not run, or not well
}

// maxPacket bounds a packet, in bytes: an environment, and the arguments that
// execve(2) admits in practice.
const maxPacket = 1 << 20

// files are a caller's standard input, output and error.
type files [3]*os.File

func (f files) close() {
	for _, file := range f {
		if file != nil {
			file.Close()
		}
	}
}

// send writes one packet, with files if there are any.
func send(conn *net.UnixConn, value any, with ...*os.File) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if len(data) > maxPacket {
		return fmt.Errorf("arguments and environment are too long: %d bytes, at most %d", len(data), maxPacket)
	}
	// A packet has to fit the socket's buffer whole.
	conn.SetWriteBuffer(2 * maxPacket)
	var rights []byte
	if len(with) > 0 {
		var fds []int
		for _, f := range with {
			fds = append(fds, int(f.Fd()))
		}
		rights = syscall.UnixRights(fds...)
	}
	_, _, err = conn.WriteMsgUnix(data, rights, nil)
	return err
}

// receive reads one packet and the files that came with it, io.EOF at the end.
func receive(conn *net.UnixConn, value any) ([]*os.File, error) {
	data, rights := make([]byte, maxPacket), make([]byte, syscall.CmsgSpace(len(files{})*4))
	n, nr, flags, _, err := conn.ReadMsgUnix(data, rights)
	if errors.Is(err, syscall.ECONNRESET) {
		return nil, io.EOF // the other end is gone, and had not read all that it was sent
	}
	if err != nil {
		return nil, err
	}
	with, err := parseRights(rights[:nr])
	switch {
	case err != nil:
	case n == 0:
		err = io.EOF
	case flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0:
		err = errors.New("packet too long")
	default:
		err = json.Unmarshal(data[:n], value)
	}
	if err != nil {
		for _, f := range with {
			f.Close()
		}
		return nil, err
	}
	return with, nil
}

func parseRights(data []byte) ([]*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(data)
	if err != nil {
		return nil, err
	}
	var with []*os.File
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			continue // credentials, which nobody asked for
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			with = append(with, os.NewFile(uintptr(fd), "caller"))
		}
	}
	return with, nil
}

// request reads what a caller asks for, with its files. Without it or them it isn't ok,
// and holds no file.
func request(conn *net.UnixConn) (r Request, with files, ok bool, err error) {
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, err := receive(conn, &r)
	if err != nil || len(got) != len(with) {
		for _, f := range got {
			f.Close()
		}
		return r, with, false, err
	}
	conn.SetReadDeadline(time.Time{})
	return r, files(got), true, nil
}
