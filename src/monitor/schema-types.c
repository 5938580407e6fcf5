/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/schema-types.h"

#include <stddef.h>

const SchemaType schema_types[] = {
    /* The monitor and the run state */
    {"VersionInfo", .members = "qemu:VersionTriple package:str"},
    {"VersionTriple", .members = "major:int minor:int micro:int"},
    {"CommandInfo", .members = "name:str"},
    {"StatusInfo", .members = "running:bool singlestep:bool status:RunState"},
    {"RunState", .words = "paused prelaunch running"},
    {"ShutdownCause", .words = "host-qmp-quit host-signal"},

    /* query-qmp-schema itself */
    {"SchemaInfo",
     .members = "name:str meta-type:SchemaMetaType features?:[str]",
     .tag = "meta-type",
     .variants = "builtin:SchemaInfoBuiltin enum:SchemaInfoEnum "
                 "array:SchemaInfoArray object:SchemaInfoObject "
                 "alternate:SchemaInfoAlternate command:SchemaInfoCommand "
                 "event:SchemaInfoEvent"},
    {"SchemaMetaType",
     .words = "builtin enum array object alternate command event"},
    {"SchemaInfoBuiltin", .members = "json-type:JSONType"},
    {"JSONType", .words = "string number int boolean null object array value"},
    {"SchemaInfoEnum",
     .members = "members:[SchemaInfoEnumMember] values:[str]"},
    {"SchemaInfoEnumMember", .members = "name:str features?:[str]"},
    {"SchemaInfoArray", .members = "element-type:str"},
    {"SchemaInfoObject", .members = "members:[SchemaInfoObjectMember] tag?:str "
                                    "variants?:[SchemaInfoObjectVariant]"},
    {"SchemaInfoObjectMember",
     .members = "name:str type:str default?:any features?:[str]"},
    {"SchemaInfoObjectVariant", .members = "case:str type:str"},
    {"SchemaInfoAlternate", .members = "members:[SchemaInfoAlternateMember]"},
    {"SchemaInfoAlternateMember", .members = "type:str"},
    {"SchemaInfoCommand",
     .members = "arg-type:str ret-type:str allow-oob?:bool"},
    {"SchemaInfoEvent", .members = "arg-type:str"},

    /* Objects */
    {"ObjectPropertyInfo",
     .members = "name:str type:str description?:str default-value?:any"},
    {"ObjectTypeInfo", .members = "name:str abstract?:bool parent?:str"},

    /* Character devices */
    {"ChardevReturn", .members = "pty?:str"},
    {"ChardevInfo", .members = "label:str filename:str frontend-open:bool"},
    {"ChardevBackendInfo", .members = "name:str"},

    /* Netdevs and filters */
    {"SocketAddress", .members = "type:SocketAddressType", .tag = "type",
     .variants = "inet:InetSocketAddress unix:UnixSocketAddress fd:String"},
    {"SocketAddressType", .words = "inet unix fd"},
    {"InetSocketAddress", .members = "host:str port:str ipv4?:bool ipv6?:bool"},
    {"UnixSocketAddress", .members = "path:str abstract?:bool tight?:bool"},
    {"String", .members = "str:str"},
    {"IOThreadInfo", .members =
                         "id:str thread-id:int poll-max-ns:int poll-grow:int "
                         "poll-shrink:int aio-max-batch:int"},
    {"NetFilterStats",
     .members = "name:str netdev:str type:str packets-tx:int packets-rx:int "
                "bytes-tx:int bytes-rx:int counters?:[NetFilterCounter]"},
    {"NetFilterCounter", .members = "name:str packets:int bytes:int"},

    /* The switchover */
    {"SwitchoverInfo",
     .members = "name:str side:SwitchoverSide phase:SwitchoverPhase "
                "packets:int bytes:int duplicates:int "
                "dropped:SwitchoverDropped held-packets-most:int "
                "held-bytes-most:int longest-hold-us:int stop-us?:int "
                "resume-us?:int first-us?:int last-us?:int "
                "method?:SwitchoverMethod ledger:SwitchoverLedger "
                "link:SwitchoverLink tap-queue?:SwitchoverTapQueue "
                "arrived-first-us?:int arrived-last-us?:int "
                "waits:SwitchoverWaits held-packets:int held-bytes:int "
                "overtaking-packets:int turned-away-packets:int "
                "phases:[SwitchoverPhaseInfo] flows:[SwitchoverFlow] "
                "timeline?:SwitchoverTimeline"},
    {"SwitchoverLedger", .members = "came:int accounted-for:int balances:bool"},
    {"SwitchoverLink", .members = "acknowledged:bool lost:int vanished:int "
                                  "missing?:int unconfirmed?:int repeated?:int "
                                  "found?:int ended?:bool"},
    {"SwitchoverTapQueue", .members =
                               "drained:int stale:int put-back:int "
                               "waiting:int refused:int left:int lost:int"},
    {"SwitchoverWaits", .members = "packets:int bytes:int mean-us:int "
                                   "histogram:[SwitchoverWaitStep]"},
    {"SwitchoverWaitStep", .members = "packets:int below-us?:int"},
    {"SwitchoverPhaseInfo", .members = "phase:SwitchoverPhase start-us:int"},
    {"SwitchoverFlow",
     .members = "kind:SwitchoverFlowKind packets:int last-before-us?:int "
                "first-us?:int gap-us?:int gap-end-us?:int"},
    {"SwitchoverFlowKind", .words = "tcp udp icmp other"},
    {"SwitchoverTimeline",
     .members = "start-us:int step-us:int series:SwitchoverSeries"},
    {"SwitchoverSeries", .members =
                             "captured?:[int] shipped?:[int] received?:[int] "
                             "injected?:[int] live?:[int] waiting?:[int]"},
    {"SwitchoverSide", .words = "source destination"},
    {"SwitchoverPhase",
     .words = "idle armed shipping returning holding releasing passing "
              "discarded"},
    {"SwitchoverMethod", .words = "used-index counters"},
    {"SwitchoverDropped",
     .members = "queue-full:int tap-full:int ring:int oversize:int "
                "inject:int disconnected:int"},
    {NULL},
};

const SchemaType schema_events[] = {
    {"STOP", .members = ""},
    {"RESUME", .members = ""},
    {"SHUTDOWN", .members = "guest:bool reason:ShutdownCause"},
    {"NETDEV_STREAM_CONNECTED", .members = "netdev-id:str addr:SocketAddress"},
    {"NETDEV_STREAM_DISCONNECTED", .members = "netdev-id:str"},
    {"SWITCHOVER",
     .members = "name:str side:SwitchoverSide phase:SwitchoverPhase"},
    {NULL},
};
