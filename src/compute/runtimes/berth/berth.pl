# The first process of a sandbox that has a network of its own. It runs in that network before anything of the function does, and becomes
# the sandbox's bubblewrap when the cloud says what is to be run.
#
# A network namespace has no door: so it listens in there, on the ports given as arguments, and hands the listening sockets to the cloud
# over the channel that Node's child_process has with its children (descriptor 3; a line of JSON with the descriptor in its ancillary
# data). On descriptor 4 comes a head (a decimal length, a line break, then that many bytes: arguments, each ended by a zero byte) and
# behind it what bubblewrap itself reads there (`--args 4`).
#
# Arguments: the architecture as Node names it, the limit of open files, addresses to close off (with commas), ports to listen on.
# Perl, because it is on every Debian, starts in milliseconds, and can call what a shell cannot: sendmsg, setrlimit, ioctl.
use strict;
use Socket;

$^F = 255; # descriptors stay open over exec
my ($channel, $plan) = (3, 4);
my %numbers = (
    x64   => { sendmsg => 46,  prlimit64 => 302, fcntl => 72, prctl => 157 },
    arm64 => { sendmsg => 211, prlimit64 => 261, fcntl => 25, prctl => 167 },
);
my ($architecture, $openFiles, $blocked, @ports) = @ARGV;
my $call = $numbers{$architecture} or die "no system calls known for $architecture\n";

loopback_up();
my @listeners = map { listener($_) } @ports;
for my $index (0 .. $#ports) { hand_over($listeners[$index], qq({"port":$ports[$index]})); }
route_nowhere($_) for split /,/, $blocked;
say_to_cloud('{"ready":true}');

my @arguments = split /\0/, read_plan(), -1;
pop @arguments; # behind the last zero byte
my $dials = shift @arguments;
if ($dials) {
    my $pid = fork();
    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) { serve_dials(); exit 0; }
}
# Limits of a Lambda environment; what the machine allows less of stays so.
syscall($call->{prlimit64}, 0, 7, pack('QQ', $openFiles, $openFiles), 0);
close_on_exec($_) for $channel, map { fileno($_) } @listeners;
exec { $arguments[0] } @arguments or die "$arguments[0]: $!\n";

sub loopback_up {
    socket(my $any, AF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
    # SIOCSIFFLAGS with IFF_UP | IFF_RUNNING
    my $request = pack('a16 s x14', 'lo', 0x41);
    ioctl($any, 0x8914, $request) or die "loopback: $!\n";
}

sub listener {
    my ($port) = @_;
    socket(my $socket, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($socket, sockaddr_in($port, INADDR_LOOPBACK)) or die "bind $port: $!\n";
    listen($socket, 511) or die "listen: $!\n";
    return $socket;
}

# An address of this machine is not to be reached by way of the internet: an unreachable host route (SIOCADDRT, RTF_UP|RTF_HOST|RTF_REJECT).
sub route_nowhere {
    my ($address) = @_;
    my $packed = inet_aton($address) or return;
    socket(my $any, AF_INET, SOCK_DGRAM, 0) or return;
    my $target = pack('S n a4 x8', AF_INET, 0, $packed);
    my $none = pack('S n a4 x8', AF_INET, 0, "\0\0\0\0");
    my $mask = pack('S n a4 x8', AF_INET, 0, "\xff\xff\xff\xff");
    my $route = pack('L! a16 a16 a16 S s x4 L! x8 s x6 L! L! L! S x6', 0, $target, $none, $mask, 0x205, 0, 0, 0, 0, 0, 0, 0);
    ioctl($any, 0x890B, $route) or warn "no route for $address could be closed: $!\n";
}

sub hand_over {
    my ($socket, $message) = @_;
    send_message(qq({"cmd":"NODE_HANDLE","type":"net.Native","msg":$message}\n), fileno($socket));
}

sub say_to_cloud { send_message("$_[0]\n"); }

sub send_message {
    my ($line, $descriptor) = @_;
    my $control = defined $descriptor ? pack('Q i i i x4', 20, 1, 1, $descriptor) : '';
    my $vector = pack('P Q', $line, length $line);
    my $header = defined $descriptor
        ? pack('Q L x4 P Q P Q i x4', 0, 0, $vector, 1, $control, length $control, 0)
        : pack('Q L x4 P Q Q Q i x4', 0, 0, $vector, 1, 0, 0, 0);
    syscall($call->{sendmsg}, $channel, $header, 0) >= 0 or die "sendmsg: $!\n";
}

sub read_plan {
    open(my $input, '<&=', $plan) or die "plan: $!\n";
    my $length = '';
    while (1) {
        my $read = sysread($input, my $byte, 1);
        exit 0 unless $read; # the cloud has gone, or has no use for this place
        last if $byte eq "\n";
        $length .= $byte;
    }
    my $text = '';
    while (length $text < $length) {
        my $read = sysread($input, $text, $length - length $text, length $text);
        exit 0 unless $read;
    }
    # Left open: bubblewrap reads on.
    $main::input = $input;
    return $text;
}

sub close_on_exec { syscall($call->{fcntl}, $_[0], 2, 1); }

# Connects inside for the cloud, which cannot: `{"dial":PORT,"id":N}` is answered with the connection.
sub serve_dials {
    syscall($call->{prctl}, 1, 9, 0, 0, 0); # PR_SET_PDEATHSIG, SIGKILL: goes with the sandbox
    $0 = 'unkai-dial';
    close($_) for @listeners;
    open(STDOUT, '>', '/dev/null');
    open(STDERR, '>', '/dev/null');
    close($main::input);
    open(my $input, '<&=', $channel) or exit 1;
    my $pending = '';
    while (sysread($input, $pending, 4096, length $pending)) {
        while ($pending =~ s/^([^\n]*)\n//) {
            my $line = $1;
            my ($port) = $line =~ /"dial":(\d+)/ or next;
            my ($id) = $line =~ /"id":(\d+)/;
            socket(my $socket, AF_INET, SOCK_STREAM, 0) or next;
            if (connect($socket, sockaddr_in($port, INADDR_LOOPBACK))) { hand_over($socket, qq({"id":$id})); }
            else { say_to_cloud(qq({"id":$id,"refused":true})); }
            close($socket);
        }
    }
}
