"""A minimal raw SOAP client for vim25, for load scripts.

It replays prepared bodies over a keep-alive connection and looks at replies with regular
expressions only, so that the client's parsing does not dominate what is measured.
Standard library only; works against any vCenter, vcsim, or another emulator.
"""

import http.client
import os
import re
import socket
import ssl
import time
import urllib.parse
from xml.sax.saxutils import escape

ENV = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>%s'
    "</soapenv:Body></soapenv:Envelope>"
)

BULK_PROPS = ("name", "runtime.powerState", "config.hardware.device", "summary")


class Fault(Exception):
    pass


def ref(tag, typ, val):
    return '<%s type="%s">%s</%s>' % (tag, typ, val, tag)


def call(method, this_type, this_val, args=""):
    return (ENV % ('<%s xmlns="urn:vim25">%s%s</%s>' % (method, ref("_this", this_type, this_val), args, method))).encode()


class Client:
    """One keep-alive connection and one session."""

    def __init__(self, url, cookie=None, timeout=600):
        u = urllib.parse.urlsplit(url if "://" in url else "https://" + url)
        self.host, self.port = u.hostname, u.port or (443 if u.scheme == "https" else 80)
        self.tls = u.scheme == "https"
        self.user = urllib.parse.unquote(u.username or "user")
        self.password = urllib.parse.unquote(u.password or "pass")
        self.path = u.path if u.path not in ("", "/") else "/sdk"
        self.timeout = timeout
        self.cookie = cookie
        self.conn = None
        self.sc = {}
        self.last_bytes = 0

    def clone(self):
        c = Client("%s://%s:%d%s" % ("https" if self.tls else "http", self.host, self.port, self.path), self.cookie, self.timeout)
        c.user, c.password, c.sc = self.user, self.password, self.sc
        return c

    def connect(self):
        if self.tls:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's authorities: to load them takes long
            ctx.check_hostname = False
            ctx.verify_mode = ssl.CERT_NONE
            self.conn = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=ctx)
        else:
            self.conn = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        self.conn.connect()
        self.conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        if self.conn:
            self.conn.close()
            self.conn = None

    def post(self, body, discard=False):
        """Send a body; return the reply's bytes (or only their number, with discard)."""
        if self.conn is None:
            self.connect()
        h = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "urn:vim25/6.5"}
        if self.cookie:
            h["Cookie"] = self.cookie
        self.conn.request("POST", self.path, body, h)
        r = self.conn.getresponse()
        for c in r.headers.get_all("Set-Cookie") or ():
            if "vmware_soap_session" in c:
                self.cookie = c.split(";")[0]
        if discard and r.status == 200:
            buf = memoryview(bytearray(1 << 20))
            n = 0
            while True:
                k = r.readinto(buf)
                if not k:
                    break
                n += k
            self.last_bytes = n
            return n
        data = r.read()
        self.last_bytes = len(data)
        if r.status != 200:
            m = re.search(rb"<faultstring>(.*?)</faultstring>", data, re.S)
            t = re.search(rb"<detail>\s*<(\w+)", data)
            raise Fault("%d %s %s" % (r.status, t.group(1).decode() if t else "", m.group(1).decode() if m else data[:200]))
        return data

    def do(self, method, this_type, this_val, args=""):
        return self.post(call(method, this_type, this_val, args))

    def content(self):
        d = self.do("RetrieveServiceContent", "ServiceInstance", "ServiceInstance").decode()
        for k in (
            "propertyCollector",
            "sessionManager",
            "viewManager",
            "rootFolder",
            "eventManager",
            "virtualDiskManager",
            "fileManager",
        ):
            m = re.search(r'<%s[^>]*type="(\w+)"[^>]*>([^<]+)<' % k, d)
            if m:
                self.sc[k] = (m.group(1), m.group(2))
        return d

    def login(self):
        self.content()
        self.do(
            "Login",
            *self.sc["sessionManager"],
            "<userName>%s</userName><password>%s</password>" % (escape(self.user), escape(self.password)),
        )
        return self

    def view(self, typ="VirtualMachine"):
        d = self.do(
            "CreateContainerView",
            *self.sc["viewManager"],
            ref("container", *self.sc["rootFolder"]) + "<type>%s</type><recursive>true</recursive>" % typ,
        )
        return re.search(rb"<returnval[^>]*>([^<]+)<", d).group(1).decode()

    def spec_view(self, view, props, typ="VirtualMachine"):
        return (
            '<propSet><type>%s</type>%s</propSet><objectSet><obj type="ContainerView">%s</obj><skip>true</skip>'
            '<selectSet xsi:type="TraversalSpec"><name>v</name><type>ContainerView</type><path>view</path>'
            "<skip>false</skip></selectSet></objectSet>" % (typ, "".join("<pathSet>%s</pathSet>" % p for p in props), view)
        )

    def spec_obj(self, typ, val, props):
        return '<propSet><type>%s</type>%s</propSet><objectSet><obj type="%s">%s</obj></objectSet>' % (
            typ,
            "".join("<pathSet>%s</pathSet>" % p for p in props),
            typ,
            val,
        )

    def body_retrieve(self, spec, max_objects=None):
        o = "<maxObjects>%d</maxObjects>" % max_objects if max_objects else ""
        return call(
            "RetrievePropertiesEx", *self.sc["propertyCollector"], "<specSet>%s</specSet><options>%s</options>" % (spec, o)
        )

    def body_continue(self, token):
        return call("ContinueRetrievePropertiesEx", *self.sc["propertyCollector"], "<token>%s</token>" % token)

    def vms(self):
        d = self.post(self.body_retrieve(self.spec_view(self.view(), ("name",))))
        out = re.findall(rb'<obj type="VirtualMachine"[^>]*>([^<]+)</obj>', d)
        m = re.search(rb"<token>([^<]+)</token>", d)
        while m:
            d = self.post(self.body_continue(m.group(1).decode()))
            out += re.findall(rb'<obj type="VirtualMachine"[^>]*>([^<]+)</obj>', d)
            m = re.search(rb"<token>([^<]+)</token>", d)
        return [x.decode() for x in out]

    def prop(self, typ, val, name):
        d = self.post(self.body_retrieve(self.spec_obj(typ, val, (name,))))
        m = re.search(rb"<val[^>]*>(.*?)</val>", d, re.S)
        return m.group(1).decode() if m else None

    def wait_task(self, task, pause=0.0):
        body = self.body_retrieve(self.spec_obj("Task", task, ("info.state",)))
        while True:
            d = self.post(body)
            m = re.search(rb"<val[^>]*>(\w+)</val>", d)
            s = m.group(1) if m else b""
            if s in (b"success", b"error"):
                return s.decode()
            if pause:
                time.sleep(pause)

    def task(self, method, typ, val, args=""):
        d = self.do(method, typ, val, args)
        return re.search(rb"<returnval[^>]*>([^<]+)<", d).group(1).decode()


def median(xs):
    xs = sorted(xs)
    n = len(xs)
    return xs[n // 2] if n % 2 else (xs[n // 2 - 1] + xs[n // 2]) / 2


def pct(xs, p):
    xs = sorted(xs)
    return xs[min(len(xs) - 1, int(len(xs) * p / 100))]


def tree_rss_kib(pid):
    """Resident memory of a process and all its descendants, in KiB."""
    kids, rss = {}, {}
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                with open("/proc/%s/status" % p) as f:
                    s = f.read()
                kids.setdefault(int(re.search(r"^PPid:\s+(\d+)", s, re.M).group(1)), []).append(int(p))
                m = re.search(r"^VmRSS:\s+(\d+)", s, re.M)
                rss[int(p)] = int(m.group(1)) if m else 0
            except (OSError, AttributeError):
                pass
    todo, n = [pid], 0
    while todo:
        p = todo.pop()
        n += rss.get(p, 0)
        todo += kids.get(p, [])
    return n


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        a = f.read().rsplit(")", 1)[1].split()
    return (int(a[11]) + int(a[12])) / os.sysconf("SC_CLK_TCK")
