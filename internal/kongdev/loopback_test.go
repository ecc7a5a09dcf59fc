package kongdev

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestListenSaysWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	_, err = Listen("proxy", "-listen", addr)
	require.EqualError(t, err, "proxy: address "+addr+" is in use by another process; stop it or choose another address with -listen")
	_, err = Listen("proxy", "-listen", "192.0.2.1:80")
	require.ErrorContains(t, err, "this machine has no address 192.0.2.1:80; choose another with -listen")
	_, err = Listen("admin", "-admin", "nonsense")
	require.ErrorContains(t, err, `admin: cannot listen on "nonsense"`)
	require.ErrorContains(t, err, "give -admin as host:port, like 127.0.0.1:0")
}
