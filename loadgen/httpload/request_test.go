// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"testing"

	"github.com/valyala/fasthttp"
)

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "{key}": "K", "/a/{key}/b": "/a/K/b", "{key}{key}": "KK", "{kex}{key": "{kex}{key",
	} {
		if got := string(newTemplate(text).appendTo(nil, "K")); got != want {
			t.Errorf("%q with K is %q, want %q", text, got, want)
		}
	}
}

func TestAddress(t *testing.T) {
	for url, want := range map[string]string{
		"http://a": "a:80", "https://a/b": "a:443", "http://a:8090/c": "a:8090",
		"http://[::1]/": "[::1]:80", "http://[::1]:8090/": "[::1]:8090",
	} {
		var u fasthttp.URI
		if err := u.Parse(nil, []byte(url)); err != nil {
			t.Fatal(err)
		}
		if got := address(&u); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}
