/*
 * audit_risks.c - which services are a risk when their port is open to the outside
 *
 * One row for each service and kind of risk. Ports are those of the IANA registry of service names
 * (https://www.iana.org/assignments/service-names-port-numbers), or the defaults of the program
 * where the registry has another service. `source` says who calls it a risk.
 */
#include "audit_risks.h"

#include "portreeve/policy.h"

#define TCP  FORWARD_TCP
#define UDP  FORWARD_UDP
#define BOTH (FORWARD_TCP | FORWARD_UDP)

#define CISA_AMPLIFIERS "CISA alert TA14-017A, UDP-Based Amplification Attacks"
#define CISA_RANSOMWARE "CISA, #StopRansomware Guide"
#define VPN             "set 'allow' to the addresses that need it, or reach it by a VPN"
#define DATABASE        "set 'allow' to the hosts of the application, or use an SSH tunnel"

const struct risk audit_risks[] = {
    /* management and data */
    {RISK_EXPOSED, 22, 22, TCP, SEVERITY_MEDIUM, "SSH",
     "set 'allow', or permit keys only and no passwords",
     "NISTIR 7966, Security of Interactive and Automated Access Management Using SSH"},
    {RISK_EXPOSED, 135, 139, BOTH, SEVERITY_HIGH, "Windows RPC and NetBIOS", VPN, CISA_RANSOMWARE},
    {RISK_EXPOSED, 445, 445, TCP, SEVERITY_HIGH, "SMB", VPN, CISA_RANSOMWARE},
    {RISK_EXPOSED, 2375, 2375, TCP, SEVERITY_HIGH, "the Docker API",
     "close it: who reaches it is root; use SSH, or TLS with client certificates",
     "Docker documentation, Protect the Docker daemon socket"},
    {RISK_EXPOSED, 3306, 3306, TCP, SEVERITY_HIGH, "MySQL", DATABASE,
     "MySQL Reference Manual, Security Guidelines"},
    {RISK_EXPOSED, 3389, 3389, BOTH, SEVERITY_HIGH, "Remote Desktop", VPN, CISA_RANSOMWARE},
    {RISK_EXPOSED, 5432, 5432, TCP, SEVERITY_HIGH, "PostgreSQL", DATABASE,
     "PostgreSQL documentation, Client Authentication"},
    {RISK_EXPOSED, 5900, 5900, TCP, SEVERITY_HIGH, "VNC", VPN,
     "RFC 6143 section 9: its authentication is weak, and nothing is encrypted"},
    {RISK_EXPOSED, 6379, 6379, TCP, SEVERITY_HIGH, "Redis", DATABASE,
     "Redis documentation, Redis security: not for untrusted clients"},
    {RISK_EXPOSED, 9200, 9200, TCP, SEVERITY_HIGH, "Elasticsearch", DATABASE,
     "Elasticsearch documentation, Secure the Elastic Stack"},
    {RISK_EXPOSED, 11211, 11211, BOTH, SEVERITY_HIGH, "Memcached", DATABASE, "CVE-2018-1000115"},
    {RISK_EXPOSED, 27017, 27017, TCP, SEVERITY_HIGH, "MongoDB", DATABASE,
     "MongoDB Manual, Security Checklist: limit network exposure"},
    /* in the clear */
    {RISK_CLEARTEXT, 21, 21, TCP, SEVERITY_MEDIUM, "FTP", "use SFTP, or FTP over TLS (RFC 4217)",
     "RFC 2577, FTP Security Considerations"},
    {RISK_CLEARTEXT, 23, 23, TCP, SEVERITY_HIGH, "Telnet", "use SSH",
     "RFC 4251, The SSH Protocol Architecture"},
    {RISK_CLEARTEXT, 69, 69, UDP, SEVERITY_MEDIUM, "TFTP", "use HTTPS or SFTP",
     "RFC 1350, section on security"},
    {RISK_CLEARTEXT, 80, 80, TCP, SEVERITY_LOW, "HTTP",
     "use HTTPS on 443/tcp; keep this port only to redirect to it",
     "RFC 7258, Pervasive Monitoring Is an Attack"},
    {RISK_CLEARTEXT, 110, 110, TCP, SEVERITY_MEDIUM, "POP3", "use POP3 over TLS on 995/tcp",
     "RFC 8314, Cleartext Considered Obsolete"},
    {RISK_CLEARTEXT, 143, 143, TCP, SEVERITY_MEDIUM, "IMAP", "use IMAP over TLS on 993/tcp",
     "RFC 8314, Cleartext Considered Obsolete"},
    {RISK_CLEARTEXT, 161, 161, UDP, SEVERITY_MEDIUM, "SNMP",
     "use SNMPv3 with encryption, and nothing older", "RFC 3410 section 8"},
    {RISK_CLEARTEXT, 389, 389, TCP, SEVERITY_MEDIUM, "LDAP", "use LDAP over TLS on 636/tcp",
     "RFC 4513 section 3, StartTLS"},
    {RISK_CLEARTEXT, 512, 514, TCP, SEVERITY_HIGH, "rexec, rlogin and rsh", "use SSH",
     "RFC 4251, The SSH Protocol Architecture"},
    {RISK_CLEARTEXT, 1883, 1883, TCP, SEVERITY_MEDIUM, "MQTT", "use MQTT over TLS on 8883/tcp",
     "OASIS MQTT 5.0 section 5, Security"},
    {RISK_CLEARTEXT, 5060, 5060, BOTH, SEVERITY_LOW, "SIP", "use SIP over TLS on 5061/tcp",
     "RFC 3261 section 26"},
    {RISK_CLEARTEXT, 6667, 6667, TCP, SEVERITY_LOW, "IRC", "use IRC over TLS on 6697/tcp",
     "RFC 7194"},
    /* amplifiers */
    {RISK_AMPLIFIER, 17, 17, UDP, SEVERITY_HIGH, "QOTD", "close it", CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 19, 19, UDP, SEVERITY_HIGH, "CharGEN", "close it", CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 53, 53, UDP, SEVERITY_HIGH, "DNS",
     "answer for your own zones only, with a response rate limit; recursion is for 'allow'",
     CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 69, 69, UDP, SEVERITY_HIGH, "TFTP", "close it, or set 'allow'",
     CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 111, 111, UDP, SEVERITY_HIGH, "the portmapper", "close it, or set 'allow'",
     CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 123, 123, UDP, SEVERITY_HIGH, "NTP",
     "refuse control and monitor queries at the server, or set 'allow'", CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 137, 137, UDP, SEVERITY_HIGH, "the NetBIOS name service", "close it",
     CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 161, 161, UDP, SEVERITY_HIGH, "SNMP", "set 'allow' to who monitors it",
     CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 389, 389, UDP, SEVERITY_HIGH, "CLDAP", "close it, or set 'allow'",
     CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 520, 520, UDP, SEVERITY_HIGH, "RIPv1", "close it", CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 1900, 1900, UDP, SEVERITY_HIGH, "SSDP", "close it", CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 5353, 5353, UDP, SEVERITY_HIGH, "mDNS", "close it", CISA_AMPLIFIERS},
    {RISK_AMPLIFIER, 11211, 11211, UDP, SEVERITY_HIGH, "Memcached", "close it", CISA_AMPLIFIERS},
};
const size_t audit_risk_count = sizeof(audit_risks) / sizeof(audit_risks[0]);
