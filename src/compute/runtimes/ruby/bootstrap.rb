# The Ruby runtime: loads the function's handler and serves invocations from the Lambda Runtime API.
#
# It runs inside the sandbox and stands on nothing but the standard library of Ruby 2.7 or later. Behaviour and texts follow AWS's
# published client for this API (github.com/aws/aws-lambda-ruby-runtime-interface-client); the code is our own.

require 'json'
require 'logger'
require 'socket'
require 'stringio'

# What the handler gets as `context:`.
class LambdaContext
  attr_reader :aws_request_id, :invoked_function_arn, :log_group_name, :log_stream_name, :function_name,
              :memory_limit_in_mb, :function_version, :identity, :client_context, :deadline_ms

  def initialize(headers)
    @deadline_ms = headers['lambda-runtime-deadline-ms'].to_i
    @aws_request_id = headers['lambda-runtime-aws-request-id']
    @invoked_function_arn = headers['lambda-runtime-invoked-function-arn']
    @log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    @log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
    @function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
    @memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
    @function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    @identity = json_of(headers['lambda-runtime-cognito-identity'])
    @client_context = json_of(headers['lambda-runtime-client-context'])
  end

  def get_remaining_time_in_millis
    [@deadline_ms - Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond), 0].max
  end

  private

  def json_of(text)
    JSON.parse(text) unless text.to_s.empty?
  end
end

module UnkaiRuntime
  PREFIX = '/2018-06-01/runtime/'.freeze
  # The types that AWS names in the header; every other is a user's own.
  NAMED_TYPES = %w[ArgumentError NoMethodError Exception StandardError NameError LoadError SystemExit SystemStackError].freeze
  LONGEST_TRACE = 100

  # The Runtime API over one keep-alive connection. An answer and the request for the next event travel together, so that an
  # invocation costs one packet in and one out.
  class Client
    def initialize(address)
      @address = address
      host, port = address.split(':')
      @socket = TCPSocket.new(host, port.to_i)
      @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    end

    # Sends the answer to the last event, if any, and waits for the next: [headers, body].
    def next(answer)
      @socket.write(answer.to_s + "GET #{PREFIX}invocation/next HTTP/1.1\r\nHost: #{@address}\r\n\r\n".b)
      read if answer
      read
    end

    def send(message)
      @socket.write(message)
      read
    end

    def post(path, body, headers)
      bytes = body.b
      lines = headers.merge('Host' => @address, 'Content-Length' => bytes.bytesize).map { |name, value| "#{name}: #{value}\r\n" }
      "POST #{PREFIX}#{path} HTTP/1.1\r\n#{lines.join}\r\n".b + bytes
    end

    private

    def read
      # Without the Runtime API there is nothing to live for.
      exit!(1) unless @socket.gets("\r\n")
      headers = {}
      while (line = @socket.gets("\r\n")) && line != "\r\n"
        name, value = line.chomp.split(':', 2)
        headers[name.downcase] = value.strip.force_encoding('UTF-8')
      end
      [headers, @socket.read(headers['content-length'].to_i).to_s.force_encoding('UTF-8')]
    end
  end

  # An error as the caller gets it. `category` is Function, Init or Runtime.
  class Failure
    def initialize(error, category)
      @error = error
      @type = "#{category}<#{error.class}>"
    end

    def payload
      { errorMessage: @error.message, errorType: @type, stackTrace: trace }
    end

    def header
      NAMED_TYPES.include?(@error.class.to_s) ? @type : 'Function<UserException>'
    end

    private

    def trace
      own = (@error.backtrace_locations || []).first(LONGEST_TRACE).map(&:to_s)
      own.take_while { |line| !line.start_with?("#{__FILE__}:") }
    end
  end

  class << self
    attr_reader :request_id

    def run
      $stdout.sync = true
      extend_logging
      @client = Client.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
      task_root = Dir.pwd
      $LOAD_PATH.unshift(task_root) unless $LOAD_PATH.include?(task_root)
      handler = load_handler(ENV['_HANDLER'].to_s)
      answer = nil
      answer = serve(handler, *@client.next(answer)) while true
    end

    # One event of the log, however many lines it has: a line break within it is written as NUL, by which the reader knows that
    # the event goes on.
    def write_event(text)
      $stdout.write("#{text.chomp.tr("\n", "\0")}\n")
    end

    private

    def load_handler(name)
      file, *owner, method = name.split('.')
      unless [2, 3].include?(name.split('.').size)
        raise ArgumentError, "Invalid handler #{name.split('.')}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD " \
                             'where FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional ' \
                             'module/class namespace and METHOD is a callable method. If using CLASS, METHOD must be a ' \
                             'class-level method.'
      end
      require file
      # Looked up at each call, as on AWS: what is missing is the invocation's error.
      lambda do |**arguments|
        owner.empty? ? TOPLEVEL_BINDING.receiver.__send__(method, **arguments) : Kernel.const_get(owner.first).send(method, **arguments)
      end
    rescue Exception => error # rubocop:disable Lint/RescueException -- whatever the function's code raises
      failure = Failure.new(error, 'Init')
      tell('Init error when loading handler ', failure)
      @client.send(@client.post('init/error', JSON.generate(failure.payload), error_headers(failure)))
      exit!(252)
    end

    # Runs the handler; returns the message that answers the event. After an error that a program does not survive on AWS either it
    # sends that itself and exits.
    def serve(handler, headers, body)
      @request_id = headers['lambda-runtime-aws-request-id']
      trace_id = headers['lambda-runtime-trace-id']
      ENV['_X_AMZN_TRACE_ID'] = trace_id if trace_id
      response = handler.call(event: JSON.parse(body), context: LambdaContext.new(headers))
      stream = response.is_a?(IO) || response.is_a?(StringIO)
      type = stream ? 'application/unknown' : 'application/json'
      @client.post("invocation/#{@request_id}/response", stream ? response.read : response.to_json, 'Content-Type' => type)
    rescue NameError => error
      give_up(error)
    rescue StandardError => error
      failure = Failure.new(error, 'Function')
      tell('Error raised from handler method', failure)
      error_message(failure)
    rescue Exception => error # rubocop:disable Lint/RescueException
      give_up(error)
    end

    def give_up(error)
      failure = Failure.new(error, 'Function')
      tell('Critical exception from handler', failure)
      @client.send(error_message(failure))
      exit!(255)
    end

    def error_message(failure)
      @client.post("invocation/#{@request_id}/error", JSON.generate(failure.payload), error_headers(failure))
    end

    def error_headers(failure)
      { 'Content-Type' => 'application/json', 'Lambda-Runtime-Function-Error-Type' => failure.header.gsub(/[^!-~]/, '_') }
    end

    def tell(message, failure)
      write_event(message)
      write_event(JSON.pretty_generate(failure.payload))
    end

    def extend_logging
      Logger.prepend(LoggerWithRequestId)
      Kernel.module_eval do
        def puts(*items)
          UnkaiRuntime.write_event(items.flatten.map { |item| item.to_s.encode('UTF-8', invalid: :replace, undef: :replace) }.join("\n"))
          nil
        end
      end
    end
  end

  # Loggers on standard output name the request in each line, as on AWS.
  module LoggerWithRequestId
    def initialize(device, *positional, formatter: nil, **options)
      standard = !device || device == $stdout || device == $stderr
      super(standard ? EventDevice.new : device, *positional, formatter: formatter || (standard ? Format.new : nil), **options)
    end
  end

  # One event for each record.
  class EventDevice
    def write(text)
      UnkaiRuntime.write_event(text)
    end

    def close; end
  end

  # The line that AWS's runtime writes.
  class Format < Logger::Formatter
    def call(severity, time, program, message)
      format('%<letter>s, [%<time>s #%<pid>d] %<severity>5s %<request>s -- %<program>s: %<message>s',
             letter: severity[0], time: format_datetime(time), pid: Process.pid, severity: severity,
             request: UnkaiRuntime.request_id, program: program, message: msg2str(message))
    end
  end
end

UnkaiRuntime.run
