package fdist

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"

	"cw/fault"
)

// Listen opens a port for IPv4 and IPv6, on the address or host name bind or,
// without one, on all. Of the ports first to last it takes the first that is
// free on all of its addresses. say is told what is tried, as gpfdist prints
// it; it may be nil.
func Listen(ctx context.Context, bind string, first, last int, say func(level Level, text string)) ([]net.Listener, int, error) {
	if say == nil {
		say = func(Level, string) {}
	}
	addresses, err := addressesOf(ctx, bind)
	if err != nil {
		return nil, 0, fault.New(fault.Usage, "", "address %s to listen on: %w", bind, err)
	}
	for port := first; ; port++ {
		listeners, taken, err := listenAll(ctx, addresses, port, say)
		if err == nil {
			if port == 0 {
				port = listeners[0].Addr().(*net.TCPAddr).Port
			}
			return listeners, port, nil
		}
		if taken {
			say(LevelVerbose, err.Error()+", port: "+strconv.Itoa(port))
		}
		if port >= last {
			return nil, 0, fault.New(fault.Failed, "see who has it: ss -ltnp 'sport = :"+strconv.Itoa(port)+"'", "cannot create socket on port %d (last port is %d): %w", port, last, err)
		}
	}
}

// addressesOf is what to listen on, IPv6 first as gpfdist does.
func addressesOf(ctx context.Context, bind string) ([]net.IP, error) {
	if len(bind) <= 1 {
		return []net.IP{net.IPv6unspecified, net.IPv4zero}, nil
	}
	found, err := net.DefaultResolver.LookupIPAddr(ctx, bind)
	if err != nil {
		return nil, err
	}
	var six, four []net.IP
	for _, a := range found {
		if a.IP.To4() == nil {
			six = append(six, a.IP)
		} else {
			four = append(four, a.IP)
		}
	}
	return append(six, four...), nil
}

// listenAll listens on every address that this machine has the protocol of.
// taken says that the port is in use on one of them.
func listenAll(ctx context.Context, addresses []net.IP, port int, say func(Level, string)) (listeners []net.Listener, taken bool, err error) {
	var cause error
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // segments do not speak it, and it costs a layer on every socket
	for _, ip := range addresses {
		network, kind := "tcp4", "IPV4"
		if ip.To4() == nil {
			network, kind = "tcp6", "IPV6" // which does not take IPv4 as well
		}
		address := net.JoinHostPort(ip.String(), strconv.Itoa(port))
		say(LevelInfo, "Trying to open listening socket:")
		say(LevelInfo, kind+" socket: "+address)
		l, err := lc.Listen(ctx, network, address)
		if errors.Is(err, syscall.EADDRINUSE) {
			for _, l := range listeners {
				_ = l.Close()
			}
			return nil, true, err
		}
		if err != nil {
			say(LevelWarn, "Creating the socket failed: "+err.Error())
			cause = err
			continue
		}
		say(LevelInfo, "Opening listening socket succeeded")
		listeners = append(listeners, l)
		if port == 0 {
			port = l.Addr().(*net.TCPAddr).Port
		}
	}
	if len(listeners) == 0 {
		return nil, false, cause
	}
	return listeners, false, nil
}
